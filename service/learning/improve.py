"""Reflection over one epoch: the model proposes changes of the rules, the gate lets through what held-out tickets confirm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field

from engine.errors import EngineFailed, EngineRefused, EngineTimeout
from service.guidance.gate import Compared, GateResult, GateRule, gate, too_few
from service.guidance.guidance import Guidance, applied
from service.judging.records import Record
from service.learning.ports import Artifacts, Journal
from service.learning.reflect import Reflect
from service.learning.reflection import Case, Proposal, operation_record, read_proposal
from service.learning.ticket_pass import TicketPass, TicketResult
from service.platform.messages import Remark
from vqc.contract import digest
from vqc.errors import InvalidValue
from vqc.missions import Mission


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectionRule:
    """How much reflection may do: ``batch_size`` cases a question, so many questions and operations an epoch."""

    batch_size: int = 8
    max_batches_per_epoch: int = 4
    max_operations: int = 3
    change_cap_per_epoch: int = 10
    gate: GateRule = field(default_factory=GateRule)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """A proposal that was tried: the guidance it makes, what the gate measured, why it is refused (nothing: it is not),
    and the held-out tickets under it.
    """

    after: Guidance
    reasons: tuple[Remark, ...]
    result: GateResult | None = None
    held_out: tuple[TicketResult, ...] = ()


class Improve:
    """Reflects on the outcomes of an epoch. ``seed`` is that of the gate's bootstrap."""

    def __init__(
        self,
        reflect: Reflect,
        judge_all: TicketPass,
        *,
        rule: ReflectionRule,
        seed: int,
        journal: Journal,
        artifacts: Artifacts,
    ) -> None:
        self._reflect = reflect
        self._judge_all = judge_all
        self._rule = rule
        self._seed = seed
        self._journal = journal
        self._artifacts = artifacts

    async def __call__(
        self,
        mission: Mission,
        guidance: Guidance,
        *,
        learn: Sequence[TicketResult],
        held_out: Sequence[TicketResult],
        epoch: int,
        progress: Callable[[int, int], None],
    ) -> Guidance:
        """The guidance after the epoch's reflections; wrong majorities are shown before divided ones.

        Raises:
            EngineUnavailable: the engine does not answer.
        """
        cases = [case for one in learn if (case := _case(one)) and case.instructive]
        cases.sort(key=lambda case: not case.wrong)
        measured = [one for one in held_out if one.record.label]
        size, changed = self._rule.batch_size, 0
        batches = [cases[start : start + size] for start in range(0, len(cases), size)]
        batches = batches[: self._rule.max_batches_per_epoch]
        for number, batch in enumerate(batches, start=1):
            progress(number, len(batches))
            most = min(self._rule.max_operations, self._rule.change_cap_per_epoch - changed)
            if most <= 0:
                break
            proposal = await self._proposal(mission, guidance, batch, most)
            trial = await self._tried(guidance, proposal, measured)
            name = digest([epoch, [case.group_id for case in batch], guidance.digest])[:12]
            self._artifacts.reflection(mission, _record(mission, epoch, name, batch, proposal, guidance, trial))
            if not trial.reasons:
                self._artifacts.guidance(mission, guidance, trial.after, f"reflection {name}")
                guidance, measured, changed = trial.after, list(trial.held_out), changed + len(proposal.operations)
        return guidance

    async def _proposal(self, mission: Mission, guidance: Guidance, batch: Sequence[Case], most: int) -> Proposal:
        key = self._reflect.key(mission, guidance, batch)
        text = self._journal.answer(key)
        if text is None:
            try:
                text = await self._reflect(mission, guidance, batch)
            except (EngineRefused, EngineTimeout, EngineFailed) as error:
                return Proposal(operations=(), notes=(str(error),))
            self._journal.keep_answer(key, text)
        return read_proposal(text, batch, most=most)

    async def _tried(self, guidance: Guidance, proposal: Proposal, held_out: Sequence[TicketResult]) -> _Trial:
        rule = self._rule.gate
        if not proposal.operations:
            return _Trial(after=guidance, reasons=(Remark.of("nothing_proposed", "nothing was proposed"),))
        if len(held_out) < rule.min_tickets:
            return _Trial(after=guidance, reasons=(too_few(len(held_out), rule),))
        try:
            after = applied(guidance, proposal.operations)
        except InvalidValue as error:
            return _Trial(after=guidance, reasons=(_impossible(error),))
        judged: list[TicketResult] = []
        async with aclosing(self._judge_all([one.record for one in held_out], after)) as judging:
            async for outcome in judging:
                judged.append(outcome)
        compared = [
            Compared(label=was.record.label, before=was.verdict, after=now.verdict)
            for was, now in zip(held_out, judged, strict=True)
            if was.record.label is not None
        ]
        result = gate(compared, rule, self._seed)
        return _Trial(after=after, reasons=result.reasons, result=result, held_out=tuple(judged))


_IMPOSSIBLE = {
    "operation.id": "unknown_rule",
    "operation.ids": "merges_too_few",
    "operations": "changes_nothing",
    "rule.text": "rule_text",
    "guidance.rules": "rule_twice",
}
"""The code of each field that ``applied`` refuses in operations as an answer can name them."""


def _impossible(error: InvalidValue) -> Remark:
    return Remark(code=_IMPOSSIBLE.get(error.field, "other"), text=str(error), values={"why": str(error)})


def _case(outcome: TicketResult) -> Case | None:
    """What reflection may learn from; nothing without a label or a verdict."""
    if outcome.judged is None or outcome.record.label is None or outcome.verdict is None:
        return None
    return Case(
        group_id=outcome.record.group_id,
        summaries=outcome.record.summaries,
        label=outcome.record.label,
        verdict=outcome.verdict,
        judgements=outcome.judged.judgements,
    )


def _record(
    mission: Mission,
    epoch: int,
    name: str,
    batch: Sequence[Case],
    proposal: Proposal,
    before: Guidance,
    trial: _Trial,
) -> Record:
    """The line of ``reflections.jsonl``."""
    in_force = before if trial.reasons else trial.after
    measured = asdict(trial.result) if trial.result else None
    if measured:
        del measured["reasons"]
    return {
        "mission": mission.name,
        "epoch": epoch,
        "reflection": {
            "reflection_id": name,
            "cases": [case.group_id for case in batch],
            "operations": [operation_record(one) for one in proposal.operations],
            "notes": list(proposal.notes),
            "gate": measured,
            "applied": not trial.reasons,
            "reasons": [{"code": one.code, "text": one.text, "values": one.values} for one in trial.reasons],
            "guidance_before": before.digest,
            "guidance_after": in_force.digest,
            "guidance_step": in_force.step,
        },
    }
