"""The gate of a guidance change, measured on held-out tickets that are judged before and after it.

    error           the selected verdict differs from the label, or there is none
    false release   the share of the tickets labelled 不通过 whose selected verdict is 通过
    RER             relative error reduction, (error before - error after) / error before

A change passes when RER is at least ``min_rer``, the false release does not rise, and at least the share ``min_share`` of
``resamples`` bootstrap resamples has an RER of at least ``min_rer``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from service.platform.messages import LocalizedMessage
from vqc.errors import InvalidValue
from vqc.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One held-out ticket: its label, and the verdicts selected under the old and the new guidance (None: no verdict)."""

    label: Verdict
    before: Verdict | None
    after: Verdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """The requirements on a change."""

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
    """The measurement on the held-out tickets: error, false release and bootstrap shares from 0 to 1, and the RER."""

    tickets: int
    error_before: float
    error_after: float
    rer: float
    false_release_before: float
    false_release_after: float
    bootstrap_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult(Effect):
    """An effect and the reasons why the change does not pass; no reasons when it does."""

    reasons: tuple[LocalizedMessage, ...]

    @property
    def passes(self) -> bool:
        """Whether the change meets every requirement."""
        return not self.reasons


def gate(tickets: Sequence[Compared], rule: GateRule, seed: int) -> GateResult:
    """The measurement and its result. ``seed`` determines the bootstrap resamples.

    >>> def was(label, before, after, times):
    ...     return [Compared(label=label, before=before, after=after)] * times
    >>> same = was(Verdict.PASS, Verdict.PASS, Verdict.PASS, 20) + was(Verdict.FAIL, Verdict.PASS, Verdict.PASS, 4)
    >>> found = gate(same + was(Verdict.FAIL, Verdict.PASS, Verdict.FAIL, 12), GateRule(), seed=17)
    >>> found.passes, found.rer, found.false_release_before, found.false_release_after
    (True, 0.75, 1.0, 0.25)
    >>> str(gate(same, GateRule(), seed=17).reasons[0])
    'relative error reduction 0.000 is below 0.1'
    """
    before = [one.before is not one.label for one in tickets]
    after = [one.after is not one.label for one in tickets]
    rer = _rer(sum(before), sum(after))
    # With 20 or 40 held-out tickets a few lucky ones can make the whole gain: it must also hold in most resamples of them.
    # The resamples depend on the seed only, so that a resumed run repeats the same decisions.
    rng = random.Random(f"gate/{seed}")
    draws = [rng.choices(range(len(tickets)), k=len(tickets)) for _ in range(rule.resamples)] if tickets else []
    reached = sum(_rer(sum(before[i] for i in draw), sum(after[i] for i in draw)) >= rule.min_rer for draw in draws)
    share = reached / rule.resamples
    released_before, released_after = (
        _false_release([t.before for t in tickets], tickets),
        _false_release([t.after for t in tickets], tickets),
    )
    reasons: list[LocalizedMessage] = []
    if len(tickets) < rule.min_tickets:
        reasons.append(too_few(len(tickets), rule))
    if rer < rule.min_rer:
        words = "relative error reduction {rer} is below {least}"
        reasons.append(LocalizedMessage.of("small_gain", words, rer=f"{rer:.3f}", least=f"{rule.min_rer:g}"))
    # A lower error does not pay for failed tickets that leave unseen: false release may not rise at all.
    if released_after > released_before:
        words, shares = (
            "false release rises from {before} to {after}",
            (f"{released_before:.3f}", f"{released_after:.3f}"),
        )
        reasons.append(LocalizedMessage.of("more_released", words, before=shares[0], after=shares[1]))
    if share < rule.min_share:
        words = "holds in {share} of the resamples, below {least}"
        reasons.append(LocalizedMessage.of("unsteady_gain", words, share=f"{share:.3f}", least=f"{rule.min_share:g}"))
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


def too_few(tickets: int, rule: GateRule) -> LocalizedMessage:
    """The reason for too few held-out tickets."""
    words = "{tickets} held-out tickets, at least {least} are needed"
    return LocalizedMessage.of("few_held_out", words, tickets=tickets, least=rule.min_tickets)


def _rer(before: int, after: int) -> float:
    """The relative error reduction from counts. Without an error before, it is 0 or, with new errors, negative."""
    return (before - after) / before if before else float(-after)


def _false_release(verdicts: Sequence[Verdict | None], tickets: Sequence[Compared]) -> float:
    failed = [verdict for verdict, one in zip(verdicts, tickets, strict=True) if one.label is Verdict.FAIL]
    return failed.count(Verdict.PASS) / len(failed) if failed else 0.0
