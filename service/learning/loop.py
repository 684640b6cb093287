"""The training-free loop of one mission: epochs of judging labelled tickets, and rules that reflection improves.

An epoch judges every ticket under the guidance in force at its start, all concurrently. Then reflection reads what was
learned from: each proposal that the gate lets through makes the next version, which the next epoch starts with. If the
last epoch changed the guidance, all tickets are judged once more, so that the last selections are always those of the
guidance in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from service.guidance.guidance import Guidance
from service.judging.decision import decide
from service.judging.evidence import evidence
from service.judging.records import Part, selection_record, trajectory_record
from service.judging.selection import select
from service.learning.improve import Improve
from service.learning.labelled_tickets import LabelledTicket
from service.learning.metrics import Selected
from service.learning.order import part_of, shuffled
from service.learning.ports import Artifacts, Progress
from service.learning.run_metrics import EpochResult
from service.learning.ticket_pass import TicketPass, TicketResult
from vqc.missions import Mission
from vqc.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPlan:
    """What decides a run besides tickets, model and sampler. ``holdout`` and ``calibrate`` are shares of the tickets,
    ``planned`` the samples of a ticket's whole plan.
    """

    seed: int
    epochs: int
    holdout: float
    calibrate: float
    planned: int


class TrainingFreeLoop:
    """Runs one mission at a time. Without ``improve`` it only judges: the guidance stays."""

    def __init__(
        self,
        judge_all: TicketPass,
        improve: Improve | None,
        *,
        plan: LoopPlan,
        artifacts: Artifacts,
        progress: Progress = lambda title, done, total: None,
    ) -> None:
        self._judge_all = judge_all
        self._improve = improve
        self._plan = plan
        self._artifacts = artifacts
        self._progress = progress

    async def __call__(
        self, mission: Mission, tickets: Sequence[LabelledTicket], guidance: Guidance
    ) -> tuple[tuple[EpochResult, ...], Guidance]:
        """Every pass, and the guidance in force at the end.

        Raises:
            EngineUnavailable: the engine stayed away; a second run goes on from there.
        """
        results: list[EpochResult] = []
        for epoch in range(1, self._plan.epochs + 1):
            outcomes = await self._epoch(mission, tickets, guidance, epoch)
            results.append(self._result(epoch, guidance, outcomes))
            guidance = await self._improved(mission, guidance, outcomes, epoch)
        if guidance.digest != results[-1].guidance.digest:
            epoch = self._plan.epochs + 1
            results.append(self._result(epoch, guidance, await self._epoch(mission, tickets, guidance, epoch)))
        return tuple(results), guidance

    async def _epoch(
        self, mission: Mission, tickets: Sequence[LabelledTicket], guidance: Guidance, epoch: int
    ) -> list[TicketResult]:
        ordered = shuffled(tickets, self._plan.seed, epoch)
        outcomes: list[TicketResult] = []
        async with aclosing(self._judge_all(ordered, guidance)) as judging:
            async for outcome in judging:
                self._write(mission, epoch, guidance, outcome)
                outcomes.append(outcome)
                self._progress(f"{mission.name} epoch {epoch}", len(outcomes), len(ordered))
        return outcomes

    def _write(self, mission: Mission, epoch: int, guidance: Guidance, outcome: TicketResult) -> None:
        judged, group_id = outcome.judged, outcome.record.group_id
        if judged:
            by_candidate = {one.rollout.candidate_index: one for one in judged.judgements}
            for rollout in judged.rollouts:
                judgement = by_candidate.get(rollout.candidate_index)
                record = trajectory_record(group_id, mission.name, epoch, rollout, judgement)
                self._artifacts.trajectory(mission, record)
        self._artifacts.selection(
            mission,
            selection_record(
                group_id=group_id,
                mission=mission.name,
                epoch=epoch,
                part=self._part(outcome.record),
                label=outcome.record.label,
                guidance=guidance,
                selection=judged.selection if judged else select([]),
                chosen=judged.chosen if judged else None,
                decision=judged.decision if judged else decide(mission, None, None),
                confidence=evidence(mission, outcome.record.summaries).confidence,
                rollouts=judged.rollouts if judged else (),
                planned=self._plan.planned,
                error=outcome.error,
            ),
        )

    async def _improved(
        self, mission: Mission, guidance: Guidance, outcomes: Sequence[TicketResult], epoch: int
    ) -> Guidance:
        if self._improve is None:
            return guidance
        return await self._improve(
            mission,
            guidance,
            learn=[one for one in outcomes if self._part(one.record) is Part.LEARN],
            held_out=[one for one in outcomes if self._part(one.record) is Part.HOLDOUT],
            epoch=epoch,
            progress=lambda done, total: self._progress(f"{mission.name} reflection {epoch}", done, total),
        )

    def _part(self, record: LabelledTicket) -> Part:
        return part_of(record, self._plan.seed, holdout=self._plan.holdout, calibrate=self._plan.calibrate)

    def _result(self, epoch: int, guidance: Guidance, outcomes: Sequence[TicketResult]) -> EpochResult:
        selected = tuple(_selected(one, self._part(one.record), self._plan.planned) for one in outcomes)
        return EpochResult(epoch=epoch, guidance=guidance, selected=selected)


def _selected(outcome: TicketResult, part: Part, planned: int) -> Selected:
    judged, chosen = outcome.judged, outcome.judged and outcome.judged.chosen
    rollouts = judged.rollouts if judged else ()
    decision = judged.decision if judged else decide(outcome.record.mission, None, None)
    verdict: Verdict | None = outcome.verdict
    return Selected(
        group_id=outcome.record.group_id,
        part=part,
        label=outcome.record.label,
        verdict=verdict,
        score=chosen.merit.semantic_advantage if chosen else 0.0,
        needs_review=decision.needs_review,
        review_reasons=tuple(map(str, decision.reasons)),
        label_contradiction=bool(chosen and chosen.label_contradiction),
        sampled=len(rollouts),
        parsed=sum(one.outcome.answer is not None for one in rollouts),
        planned=planned,
        planted=outcome.record.true_label,
    )
