"""Whether a change of guidance is worth making: the same held-out tickets judged before and after it.

    error           a selected verdict that is not the label, or none
    false release   a ticket labelled 不通过 and given 通过, as a share of those labelled 不通过
    RER             relative error reduction, (error before - error after) / error before

A change passes when RER reaches ``min_rer``, no more tickets are falsely released, and of ``resamples`` bootstrap draws
of the tickets at least the share ``min_share`` has an RER of ``min_rer`` or more.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from service.platform.messages import Remark
from vqc.errors import InvalidValue
from vqc.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One held-out ticket: its label, and the verdict selected under the old and the new guidance (None: no verdict)."""

    label: Verdict
    before: Verdict | None
    after: Verdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """What a change must show."""

    min_rer: float = 0.1
    min_share: float = 0.8
    resamples: int = 200
    min_tickets: int = 20

    def __post_init__(self) -> None:
        for name, value in (("gate.min_rer", self.min_rer), ("gate.min_share", self.min_share)):
            if not 0 < value <= 1:
                raise InvalidValue(name, value, "valid: above 0, at most 1")
        if self.resamples < 1 or self.min_tickets < 1:
            raise InvalidValue(
                "gate", (self.resamples, self.min_tickets), "resamples and min_tickets must be at least 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What the held-out tickets showed, each a share of 0 to 1: before and after, relative error reduction, bootstrap."""

    tickets: int
    error_before: float
    error_after: float
    rer: float
    false_release_before: float
    false_release_after: float
    bootstrap_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult(Effect):
    """An effect and its outcome: ``reasons`` say why a change does not pass, none when it does."""

    reasons: tuple[Remark, ...]

    @property
    def passed(self) -> bool:
        """Whether the change may be made."""
        return not self.reasons


def gate(tickets: Sequence[Compared], rule: GateRule, seed: int) -> GateResult:
    """The measurement and its outcome; the bootstrap is drawn from ``seed``.

    >>> def was(label, before, after, times):
    ...     return [Compared(label=label, before=before, after=after)] * times
    >>> same = was(Verdict.PASS, Verdict.PASS, Verdict.PASS, 20) + was(Verdict.FAIL, Verdict.PASS, Verdict.PASS, 4)
    >>> found = gate(same + was(Verdict.FAIL, Verdict.PASS, Verdict.FAIL, 12), GateRule(), seed=17)
    >>> found.passed, found.rer, found.false_release_before, found.false_release_after
    (True, 0.75, 1.0, 0.25)
    >>> str(gate(same, GateRule(), seed=17).reasons[0])
    'relative error reduction 0.000 is below 0.1'
    """
    before = [one.before is not one.label for one in tickets]
    after = [one.after is not one.label for one in tickets]
    rer = _rer(sum(before), sum(after))
    rng = random.Random(f"gate/{seed}")
    draws = [rng.choices(range(len(tickets)), k=len(tickets)) for _ in range(rule.resamples)] if tickets else []
    reached = sum(_rer(sum(before[i] for i in draw), sum(after[i] for i in draw)) >= rule.min_rer for draw in draws)
    share = reached / rule.resamples
    released_before, released_after = (
        _released([t.before for t in tickets], tickets),
        _released([t.after for t in tickets], tickets),
    )
    reasons: list[Remark] = []
    if len(tickets) < rule.min_tickets:
        reasons.append(too_few(len(tickets), rule))
    if rer < rule.min_rer:
        words = "relative error reduction {rer} is below {least}"
        reasons.append(Remark.of("small_gain", words, rer=f"{rer:.3f}", least=f"{rule.min_rer:g}"))
    if released_after > released_before:
        words, shares = (
            "false release rises from {before} to {after}",
            (f"{released_before:.3f}", f"{released_after:.3f}"),
        )
        reasons.append(Remark.of("more_released", words, before=shares[0], after=shares[1]))
    if share < rule.min_share:
        words = "holds in {share} of the resamples, below {least}"
        reasons.append(Remark.of("unsteady_gain", words, share=f"{share:.3f}", least=f"{rule.min_share:g}"))
    return GateResult(
        tickets=len(tickets),
        error_before=sum(before) / max(len(tickets), 1),
        error_after=sum(after) / max(len(tickets), 1),
        rer=rer,
        false_release_before=released_before,
        false_release_after=released_after,
        bootstrap_share=share,
        reasons=tuple(reasons),
    )


def too_few(tickets: int, rule: GateRule) -> Remark:
    """What is said where so many tickets can show nothing."""
    words = "{tickets} held-out tickets, at least {least} are needed"
    return Remark.of("few_held_out", words, tickets=tickets, least=rule.min_tickets)


def _rer(before: int, after: int) -> float:
    """0 where there was no error to reduce, unless errors came: then it is negative."""
    return (before - after) / before if before else float(-after)


def _released(verdicts: Sequence[Verdict | None], tickets: Sequence[Compared]) -> float:
    failed = [verdict for verdict, one in zip(verdicts, tickets, strict=True) if one.label is Verdict.FAIL]
    return failed.count(Verdict.PASS) / len(failed) if failed else 0.0
