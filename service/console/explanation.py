"""Explains a judged ticket to a person: a sentence for each score, the vote of each rollout, the reasons for review."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from service.console.words import has_text
from service.tickets.ticket import JsonObject, Ticket
from vqc.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A text of the catalogue (``key``) with its values; ``tone`` is ok, warn or bad."""

    key: str
    tone: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One rollout. ``verdict`` is None if it did not parse; ``reason`` is then its text."""

    number: int
    verdict: str | None
    reason: str
    temperature: float
    score: float | None
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The explanation of a judged ticket. ``why`` are the reasons for review."""

    why: tuple[Sentence, ...]
    scores: tuple[Sentence, ...]
    votes: tuple[Vote, ...]
    passes: int
    fails: int
    unread: int


def explain(ticket: Ticket) -> Explanation | None:
    """The explanation of a ticket; None before it was judged."""
    outcome = ticket.outcome
    if outcome is None:
        return None
    votes = tuple(_vote(n, one, outcome.selection) for n, one in enumerate(outcome.trajectories, start=1))
    why = tuple(
        Sentence(
            key=f"ticket.why_{reason}" if has_text(f"ticket.why_{reason}") else "ticket.why_other",
            tone="warn",
            values={
                "reason": reason,
                "share": f"{outcome.vote_share:.0%}",
                "missing": "、".join(outcome.missing),
                **_threshold(ticket),
            },
        )
        for reason in outcome.review_reasons
    )
    return Explanation(
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


def _scores(ticket: Ticket) -> tuple[Sentence, ...]:
    """A sentence for each of the four parts of the chosen rollout's score, and one for their sum."""
    assert ticket.outcome is not None
    outcome, scores = ticket.outcome, cast(Mapping[str, float] | None, ticket.outcome.selection.get("scores"))
    if not scores:
        return ()
    heuristic, focus, rationale = (
        scores[name] for name in ("heuristic_score", "focus_consistency", "rationale_quality")
    )
    lines = ("support", "ok") if heuristic == 1 else ("oppose", "bad") if heuristic == 0 else ("open", "warn")
    sentences = [
        Sentence(key=f"ticket.lines_{lines[0]}", tone=lines[1], values={}),
        Sentence(key="ticket.focus", tone="ok" if focus >= 0.5 else "warn", values={"share": f"{focus:.0%}"}),
        Sentence(
            key="ticket.reason_good" if rationale == 1 else "ticket.reason_poor",
            tone="ok" if rationale == 1 else "warn",
            values={},
        ),
        Sentence(
            key="ticket.agree",
            tone="ok" if outcome.vote_share >= 0.8 else "warn",
            values={"share": f"{outcome.vote_share:.0%}", "n": len(outcome.trajectories)},
        ),
    ]
    threshold = "ticket.sum" if outcome.threshold is None else "ticket.sum_threshold"
    low = outcome.threshold is not None and (outcome.score or 0) < outcome.threshold
    sentences.append(Sentence(key=threshold, tone="warn" if low else "ok", values=_threshold(ticket)))
    return tuple(sentences)


def _threshold(ticket: Ticket) -> dict[str, object]:
    assert ticket.outcome is not None
    score, threshold = ticket.outcome.score, ticket.outcome.threshold
    return {
        "score": "–" if score is None else f"{score:.2f}",
        "threshold": "–" if threshold is None else f"{threshold:.2f}",
    }
