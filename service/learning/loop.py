"""The training-free loop of one mission: epochs that judge labelled tickets, with reflection after each.

An epoch judges every ticket under the guidance that is active at its start. Then reflection reads the tickets of the part
``learn``; each change that the gate accepts makes the next version, under which the next epoch runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from service.guidance.guidance import Guidance
from service.judging.decision import NO_VERDICT
from service.judging.evidence import evidence
from service.judging.records import Part, selection_record, trajectory_record
from service.judging.selection import select
from service.learning.improve import Improve
from service.learning.labelled_tickets import LabelledTicket
from service.learning.metrics import SelectedTicket
from service.learning.order import epoch_order, part_of
from service.learning.run_folder import RunFolder
from service.learning.run_metrics import EpochResult
from service.learning.ticket_pass import TicketPass, TicketResult
from vqc.missions import Mission

Progress = Callable[[str, int, int], None]
"""Called with (title, done, total) as tickets are finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPlan:
    """The numbers of a run. ``holdout`` and ``calibrate`` are shares of the tickets; ``planned`` is the sampler's
    ``sample_count``.
    """

    seed: int
    epochs: int
    holdout: float
    calibrate: float
    planned: int


class TrainingFreeLoop:
    """Runs one mission at a time. Without ``improve`` it only judges, and the guidance does not change."""

    def __init__(
        self,
        judge_all: TicketPass,
        improve: Improve | None,
        *,
        plan: LoopPlan,
        run: RunFolder,
        progress: Progress = lambda title, done, total: None,
    ) -> None:
        self._judge_all = judge_all
        self._improve = improve
        self._plan = plan
        self._run = run
        self._progress = progress

    async def __call__(
        self, mission: Mission, tickets: Sequence[LabelledTicket], guidance: Guidance
    ) -> tuple[tuple[EpochResult, ...], Guidance]:
        """Runs the mission; returns the result of every pass and the last guidance.

        Raises:
            EngineUnavailable: the engine stayed unavailable; the same run can be resumed.
        """
        epochs: list[EpochResult] = []
        for epoch in range(1, self._plan.epochs + 1):
            results = await self._judge_epoch(mission, tickets, guidance, epoch)
            epochs.append(self._epoch_result(epoch, guidance, results))
            guidance = await self._improve_guidance(mission, guidance, results, epoch)
        # The last selections are what is reported and calibrated on: they must be those of the guidance that is kept.
        if guidance.digest != epochs[-1].guidance.digest:
            epoch = self._plan.epochs + 1
            results = await self._judge_epoch(mission, tickets, guidance, epoch)
            epochs.append(self._epoch_result(epoch, guidance, results))
        return tuple(epochs), guidance

    async def _judge_epoch(
        self, mission: Mission, tickets: Sequence[LabelledTicket], guidance: Guidance, epoch: int
    ) -> list[TicketResult]:
        ordered = epoch_order(tickets, self._plan.seed, epoch)
        results: list[TicketResult] = []
        async with aclosing(self._judge_all(ordered, guidance)) as judging:
            async for result in judging:
                self._write_records(mission, epoch, guidance, result)
                results.append(result)
                self._progress(f"{mission.name} epoch {epoch}", len(results), len(ordered))
        return results

    def _write_records(self, mission: Mission, epoch: int, guidance: Guidance, result: TicketResult) -> None:
        judged, group_id = result.judged, result.ticket.group_id
        if judged:
            by_candidate = {one.rollout.candidate_index: one for one in judged.judgements}
            for rollout in judged.rollouts:
                judgement = by_candidate.get(rollout.candidate_index)
                record = trajectory_record(group_id, mission.name, epoch, rollout, judgement)
                self._run.write_trajectory(mission, record)
        self._run.write_selection(
            mission,
            selection_record(
                group_id=group_id,
                mission=mission.name,
                epoch=epoch,
                part=self._part(result.ticket),
                label=result.ticket.label,
                guidance=guidance,
                selection=judged.selection if judged else select([]),
                chosen=judged.chosen if judged else None,
                decision=judged.decision if judged else NO_VERDICT,
                confidence=evidence(mission, result.ticket.summaries).confidence,
                rollouts=judged.rollouts if judged else (),
                planned=self._plan.planned,
                error=result.error,
            ),
        )

    async def _improve_guidance(
        self, mission: Mission, guidance: Guidance, results: Sequence[TicketResult], epoch: int
    ) -> Guidance:
        if self._improve is None:
            return guidance
        return await self._improve(
            mission,
            guidance,
            learn=[one for one in results if self._part(one.ticket) is Part.LEARN],
            held_out=[one for one in results if self._part(one.ticket) is Part.HOLDOUT],
            epoch=epoch,
            progress=lambda done, total: self._progress(f"{mission.name} reflection {epoch}", done, total),
        )

    def _part(self, ticket: LabelledTicket) -> Part:
        return part_of(ticket, self._plan.seed, holdout=self._plan.holdout, calibrate=self._plan.calibrate)

    def _epoch_result(self, epoch: int, guidance: Guidance, results: Sequence[TicketResult]) -> EpochResult:
        selected = tuple(_selected_ticket(one, self._part(one.ticket), self._plan.planned) for one in results)
        return EpochResult(epoch=epoch, guidance=guidance, selected=selected)


def _selected_ticket(result: TicketResult, part: Part, planned: int) -> SelectedTicket:
    judged, chosen = result.judged, result.judged and result.judged.chosen
    rollouts = judged.rollouts if judged else ()
    decision = judged.decision if judged else NO_VERDICT
    return SelectedTicket(
        group_id=result.ticket.group_id,
        part=part,
        label=result.ticket.label,
        verdict=result.verdict,
        score=chosen.merit.semantic_advantage if chosen else 0.0,
        needs_review=decision.needs_review,
        review_reasons=tuple(map(str, decision.reasons)),
        label_contradiction=bool(chosen and chosen.label_contradiction),
        sampled=len(rollouts),
        parsed=sum(one.outcome.answer is not None for one in rollouts),
        planned=planned,
        planted=result.ticket.true_label,
    )
