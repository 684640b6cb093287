"""The tickets that wait for a person, sorted onto shelves by what people ask for, so that no question looks at all of them.

A waiting ticket stands on eight shelves: each of mission, model and risk is its own or any. On a shelf the oldest comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from service.tickets.ticket import Outcome, Pinned, State, Ticket
from vqc.verdict import Verdict


class Risk(StrEnum):
    """What a person could miss by looking in haste; the riskiest first."""

    HIGH = "high"
    """The evidence itself cannot be relied on: unclear lines, a photo without one, no verdict at all."""
    MEDIUM = "medium"
    """The evidence is good, but a 通过 is divided or scored too low: a failed ticket may be among them."""
    LOW = "low"
    """A divided 不通过: whatever is decided in haste, nothing was to be released."""


_UNRELIABLE = frozenset({"no_verdict", "summaries_unclear", "photo_without_line"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Tickets that agree in what is named; None is any."""

    mission: str | None = None
    model: str | None = None
    risk: Risk | None = None


def risk_of(outcome: Outcome) -> Risk:
    """How risky a hasty decision would be."""
    if outcome.verdict is None or _UNRELIABLE & set(outcome.review_reasons):
        return Risk.HIGH
    return Risk.MEDIUM if outcome.verdict is Verdict.PASS else Risk.LOW


def model_of(pinned: Pinned | None) -> str:
    """The model as people tell it apart: alias and the start of its digest.

    >>> model_of(Pinned(model_alias="champion", model_digest="sha256:" + "ab" * 32, guidance="g", sampler="s"))
    'champion@abababababab'
    """
    if pinned is None:
        return "unknown"
    return f"{pinned.model_alias}@{pinned.model_digest.removeprefix('sha256:')[:12]}"


def shelves_of(ticket: Ticket) -> frozenset[Shelf]:
    """Where the ticket stands: on none unless it waits for a person."""
    if ticket.state is not State.NEEDS_REVIEW or ticket.outcome is None:
        return frozenset()
    own = (ticket.mission, model_of(ticket.pinned), risk_of(ticket.outcome))
    sides = product(*((value, None) for value in own))
    return frozenset(Shelf(mission=mission, model=model, risk=risk) for mission, model, risk in sides)  # type: ignore[arg-type]
