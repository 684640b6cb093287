"""Reflection over one epoch: the model proposes changes of the rules; the gate accepts those that held-out tickets confirm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field

from engine.errors import EngineFailed, EngineRefused, EngineTimeout
from service.guidance.gate import Compared, GateResult, GateRule, gate, too_few
from service.guidance.guidance import Guidance, apply_operations
from service.judging.records import Record
from service.learning.reflect import Reflect
from service.learning.reflection import ReflectionAnswer, ReflectionCase, operation_record, parse_reflection
from service.learning.run_folder import RunFolder
from service.learning.ticket_pass import TicketPass, TicketResult
from service.platform.messages import LocalizedMessage
from vqc.contract import digest
from vqc.errors import InvalidValue
from vqc.missions import Mission


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectionRule:
    """The limits of reflection. ``batch_size`` is the number of cases in one prompt."""

    batch_size: int = 8
    max_batches_per_epoch: int = 4
    max_operations: int = 3
    change_cap_per_epoch: int = 10
    gate: GateRule = field(default_factory=GateRule)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """A proposed change after its test: the new guidance, the gate's measurement and the held-out tickets under it.

    ``reasons`` say why it is rejected; an accepted one has none.
    """

    after: Guidance
    reasons: tuple[LocalizedMessage, ...]
    result: GateResult | None = None
    held_out: tuple[TicketResult, ...] = ()


class Improve:
    """Reflects on the results of an epoch. ``seed`` is for the gate's bootstrap."""

    def __init__(
        self,
        reflect: Reflect,
        judge_all: TicketPass,
        *,
        rule: ReflectionRule,
        seed: int,
        run: RunFolder,
    ) -> None:
        self._reflect = reflect
        self._judge_all = judge_all
        self._rule = rule
        self._seed = seed
        self._run = run

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
        """Returns the guidance after the epoch's reflections. Raises ``EngineUnavailable``."""
        cases = [case for one in learn if (case := _case(one)) and case.is_instructive]
        # Batches are limited: wrong majorities teach more than divided right ones, so they come first.
        cases.sort(key=lambda case: not case.is_wrong)
        measured = [one for one in held_out if one.ticket.label]
        size, changed = self._rule.batch_size, 0
        batches = [cases[start : start + size] for start in range(0, len(cases), size)]
        batches = batches[: self._rule.max_batches_per_epoch]
        for number, batch in enumerate(batches, start=1):
            progress(number, len(batches))
            most = min(self._rule.max_operations, self._rule.change_cap_per_epoch - changed)
            if most <= 0:
                break
            answer = await self._reflect_on(mission, guidance, batch, most)
            trial = await self._try_operations(guidance, answer, measured)
            name = digest([epoch, [case.group_id for case in batch], guidance.digest])[:12]
            self._run.write_reflection(mission, _record(mission, epoch, name, batch, answer, guidance, trial))
            if not trial.reasons:
                self._run.activate_guidance(mission, guidance, trial.after, f"reflection {name}")
                # The next change must improve on this one, so its trial is the new baseline.
                guidance, measured, changed = trial.after, list(trial.held_out), changed + len(answer.operations)
        return guidance

    async def _reflect_on(
        self, mission: Mission, guidance: Guidance, batch: Sequence[ReflectionCase], most: int
    ) -> ReflectionAnswer:
        key = self._reflect.key(mission, guidance, batch)
        text = self._run.journal.answer(key)
        if text is None:
            try:
                text = await self._reflect(mission, guidance, batch)
            except (EngineRefused, EngineTimeout, EngineFailed) as error:
                return ReflectionAnswer(operations=(), notes=(str(error),))
            self._run.journal.save_answer(key, text)
        return parse_reflection(text, batch, most=most)

    async def _try_operations(
        self, guidance: Guidance, answer: ReflectionAnswer, held_out: Sequence[TicketResult]
    ) -> _Trial:
        rule = self._rule.gate
        if not answer.operations:
            return _Trial(after=guidance, reasons=(LocalizedMessage.of("nothing_proposed", "nothing was proposed"),))
        # Checked before the trial: the gate would reject it after judging every held-out ticket again.
        if len(held_out) < rule.min_tickets:
            return _Trial(after=guidance, reasons=(too_few(len(held_out), rule),))
        try:
            after = apply_operations(guidance, answer.operations)
        except InvalidValue as error:
            return _Trial(after=guidance, reasons=(_rejection(error),))
        async with aclosing(self._judge_all([one.ticket for one in held_out], after)) as judging:
            results = [result async for result in judging]
        # Pairs of the same tickets under the same seeds: what differs between before and after is the guidance alone.
        compared = [
            Compared(label=before.ticket.label, before=before.verdict, after=result.verdict)
            for before, result in zip(held_out, results, strict=True)
            if before.ticket.label is not None
        ]
        measured = gate(compared, rule, self._seed)
        return _Trial(after=after, reasons=measured.reasons, result=measured, held_out=tuple(results))


_REJECTION_CODES = {
    "operation.id": "unknown_rule",
    "operation.ids": "merges_too_few",
    "operations": "changes_nothing",
    "rule.text": "rule_text",
    "guidance.rules": "rule_twice",
}
"""The message code for each field of an operation that ``apply_operations`` rejects."""


def _rejection(error: InvalidValue) -> LocalizedMessage:
    return LocalizedMessage(
        code=_REJECTION_CODES.get(error.field, "other"), text=str(error), values={"why": str(error)}
    )


def _case(result: TicketResult) -> ReflectionCase | None:
    """The case for reflection; None without a label or a verdict."""
    if result.judged is None or result.ticket.label is None or result.verdict is None:
        return None
    return ReflectionCase(
        group_id=result.ticket.group_id,
        summaries=result.ticket.summaries,
        label=result.ticket.label,
        verdict=result.verdict,
        judgements=result.judged.judgements,
    )


def _record(
    mission: Mission,
    epoch: int,
    name: str,
    batch: Sequence[ReflectionCase],
    answer: ReflectionAnswer,
    before: Guidance,
    trial: _Trial,
) -> Record:
    """The line of ``reflections.jsonl``."""
    active = before if trial.reasons else trial.after
    measured = asdict(trial.result) if trial.result else None
    if measured:
        del measured["reasons"]
    return {
        "mission": mission.name,
        "epoch": epoch,
        "reflection": {
            "reflection_id": name,
            "cases": [case.group_id for case in batch],
            "operations": [operation_record(one) for one in answer.operations],
            "notes": list(answer.notes),
            "gate": measured,
            "applied": not trial.reasons,
            "reasons": [{"code": one.code, "text": one.text, "values": one.values} for one in trial.reasons],
            "guidance_before": before.digest,
            "guidance_after": active.digest,
            "guidance_step": active.step,
        },
    }
