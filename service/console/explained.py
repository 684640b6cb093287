"""A ticket's numbers as a person reads them: which sentence says each score, what each rollout voted, why nobody decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from service.console.words import known
from service.tickets.ticket import JsonObject, Ticket
from vqc.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A sentence of the catalogue (``key``) with its values; ``tone`` is ok, warn or bad."""

    key: str
    tone: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One rollout. ``verdict`` None: it could not be read, and ``text`` is what it said."""

    number: int
    verdict: str | None
    reason: str
    temperature: float
    score: float | None
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What the page says of a judged ticket."""

    why: tuple[Said, ...]
    scores: tuple[Said, ...]
    votes: tuple[Vote, ...]
    passes: int
    fails: int
    unread: int


def explained(ticket: Ticket) -> Explained | None:
    """The ticket in words; None before it was judged."""
    outcome = ticket.outcome
    if outcome is None:
        return None
    votes = tuple(_vote(n, one, outcome.selection) for n, one in enumerate(outcome.trajectories, start=1))
    why = tuple(
        Said(
            key=f"ticket.why_{reason}" if known(f"ticket.why_{reason}") else "ticket.why_other",
            tone="warn",
            values={"reason": reason, "share": f"{outcome.vote_share:.0%}", **_threshold(ticket)},
        )
        for reason in outcome.review_reasons
    )
    return Explained(
        why=why,
        scores=_scores(ticket),
        votes=votes,
        passes=sum(vote.verdict == Verdict.PASS for vote in votes),
        fails=sum(vote.verdict == Verdict.FAIL for vote in votes),
        unread=sum(vote.verdict is None for vote in votes),
    )


def _vote(number: int, record: JsonObject, selection: JsonObject) -> Vote:
    scores = cast(Mapping[str, float] | None, record.get("scores"))
    verdict = cast(str | None, record.get("verdict"))
    return Vote(
        number=number,
        verdict=verdict,
        reason=str(record.get("reason") or record.get("text") or ""),
        temperature=float(cast(float, record.get("temperature") or 0.0)),
        score=scores["semantic_advantage"] if scores else None,
        chosen=verdict is not None and record.get("candidate_index") == selection.get("selected_candidate"),
    )


def _scores(ticket: Ticket) -> tuple[Said, ...]:
    """The four parts of the chosen rollout's score and their sum, each as the sentence that fits its value."""
    assert ticket.outcome is not None
    outcome, scores = ticket.outcome, cast(Mapping[str, float] | None, ticket.outcome.selection.get("scores"))
    if not scores:
        return ()
    heuristic, focus, rationale = (
        scores[name] for name in ("heuristic_score", "focus_consistency", "rationale_quality")
    )
    lines = ("support", "ok") if heuristic == 1 else ("oppose", "bad") if heuristic == 0 else ("open", "warn")
    said = [
        Said(key=f"ticket.lines_{lines[0]}", tone=lines[1], values={}),
        Said(key="ticket.focus", tone="ok" if focus >= 0.5 else "warn", values={"share": f"{focus:.0%}"}),
        Said(
            key="ticket.reason_good" if rationale == 1 else "ticket.reason_poor",
            tone="ok" if rationale == 1 else "warn",
            values={},
        ),
        Said(
            key="ticket.agree",
            tone="ok" if outcome.vote_share >= 0.8 else "warn",
            values={"share": f"{outcome.vote_share:.0%}", "n": len(outcome.trajectories)},
        ),
    ]
    threshold = "ticket.sum" if outcome.threshold is None else "ticket.sum_threshold"
    low = outcome.threshold is not None and (outcome.score or 0) < outcome.threshold
    said.append(Said(key=threshold, tone="warn" if low else "ok", values=_threshold(ticket)))
    return tuple(said)


def _threshold(ticket: Ticket) -> dict[str, object]:
    assert ticket.outcome is not None
    score, threshold = ticket.outcome.score, ticket.outcome.threshold
    return {
        "score": "–" if score is None else f"{score:.2f}",
        "threshold": "–" if threshold is None else f"{threshold:.2f}",
    }
