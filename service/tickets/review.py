"""The review queue: the tickets that wait for a person, indexed by facet so that a query reads only what it returns.

A waiting ticket belongs to eight facets: each of mission, model and risk is its own value or any. A facet is ordered by age.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from service.tickets.ticket import JudgedWith, Outcome, State, Ticket
from vqc.verdict import Verdict


class Risk(StrEnum):
    """How unsafe the machine's verdict is, from high to low."""

    HIGH = "high"
    """The evidence is unreliable: unclear lines, a photo without a line, or no verdict."""
    MEDIUM = "medium"
    """The evidence is good, but the 通过 is divided or its score too low: the ticket may have to fail."""
    LOW = "low"
    """A divided 不通过: nothing is released, whatever a person decides in haste."""


_UNRELIABLE = frozenset(
    {"no_verdict", "summaries_unclear", "photo_without_line", "mission_untrained", "evidence_missing"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewFacet:
    """Waiting tickets of one mission, model and risk; None is any."""

    mission: str | None = None
    model: str | None = None
    risk: Risk | None = None


def risk_of(outcome: Outcome) -> Risk:
    """The risk of a judged ticket."""
    if outcome.verdict is None or _UNRELIABLE & set(outcome.review_reasons):
        return Risk.HIGH
    return Risk.MEDIUM if outcome.verdict is Verdict.PASS else Risk.LOW


def model_of(pinned: JudgedWith | None) -> str:
    """The model in a form that people can read: alias and the start of the digest.

    >>> model_of(JudgedWith(model_alias="champion", model_digest="sha256:" + "ab" * 32, guidance="g", sampler="s"))
    'champion@abababababab'
    """
    if pinned is None:
        return "unknown"
    return f"{pinned.model_alias}@{pinned.model_digest.removeprefix('sha256:')[:12]}"


def facets_of(ticket: Ticket) -> frozenset[ReviewFacet]:
    """The facets of a ticket; none unless it waits for a review."""
    if ticket.state is not State.NEEDS_REVIEW or ticket.outcome is None:
        return frozenset()
    own = (ticket.mission, model_of(ticket.pinned), risk_of(ticket.outcome))
    sides = product(*((value, None) for value in own))
    return frozenset(ReviewFacet(mission=mission, model=model, risk=risk) for mission, model, risk in sides)  # type: ignore[arg-type]
