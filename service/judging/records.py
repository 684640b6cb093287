"""The lines of ``trajectories.jsonl`` and ``selections.jsonl``. Their schemas are in ``docs/schemas``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from service.guidance.guidance import Guidance
from service.judging.decision import VerdictDecision
from service.judging.evidence import SummaryConfidence
from service.judging.judge import Judgement
from service.judging.rollouts import Rollout
from service.judging.selection import Selection
from vqc.verdict import Verdict

Record = dict[str, object]


class Part(StrEnum):
    """The purpose of a labelled ticket in a run."""

    LEARN = "learn"
    """Reflection reads it."""
    HOLDOUT = "holdout"
    """The gate measures changes of guidance on it."""
    CALIBRATE = "calibrate"
    """Neither; so a threshold may be calibrated on it after the guidance has changed."""


def trajectory_record(group_id: str, mission: str, epoch: int, rollout: Rollout, judgement: Judgement | None) -> Record:
    """One candidate of one ticket; ``judgement`` is None for a rollout that did not parse.

    ``seed`` is the base of its request; the candidate was drawn with the base plus its place in the request.
    """
    answer, decoding = rollout.outcome.answer, rollout.decoding
    return {
        "group_id": group_id,
        "mission": mission,
        "epoch": epoch,
        "result": {
            "candidate_index": rollout.candidate_index,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "max_new_tokens": decoding.max_new_tokens,
            "seed": decoding.seed,
            "text": rollout.text,
            "verdict": answer and str(answer.verdict),
            "reason": answer and answer.reason,
            "format_ok": answer is not None,
            "created_at": rollout.created_at and stamp(rollout.created_at),
            "scores": judgement and scores_record(judgement),
        },
    }


def scores_record(judgement: Judgement) -> Record:
    """The scores of a rollout that parsed."""
    merit = judgement.merit
    return {
        "label_match": judgement.label_match,
        "focus_consistency": round(merit.focus_consistency, 6),
        "heuristic_score": merit.heuristic_score,
        "summary_confidence": str(judgement.summary_confidence),
        "semantic_advantage": merit.semantic_advantage,
        "label_contradiction": judgement.label_contradiction,
        "needs_recheck": judgement.needs_recheck,
        "rationale_quality": merit.rationale_quality,
    }


def selection_record(
    *,
    group_id: str,
    mission: str,
    epoch: int,
    part: Part,
    label: Verdict | None,
    guidance: Guidance,
    selection: Selection,
    chosen: Judgement | None,
    decision: VerdictDecision,
    confidence: SummaryConfidence,
    rollouts: Sequence[Rollout],
    planned: int,
    error: str | None = None,
) -> Record:
    """The selection of one ticket. ``error`` is why a ticket has no rollouts."""
    return {
        "group_id": group_id,
        "mission": mission,
        "epoch": epoch,
        "result": {
            "verdict": selection.verdict and str(selection.verdict),
            "reason": chosen and chosen.answer.reason,
            "summary_confidence": str(confidence),
            "selected_candidate": selection.candidate_index,
            "vote_share": round(selection.vote_share, 6),
            "semantic_advantage": chosen and chosen.merit.semantic_advantage,
            "label": label and str(label),
            "label_match": chosen and chosen.label_match,
            "label_contradiction": bool(chosen and chosen.label_contradiction),
            "needs_recheck": chosen.needs_recheck if chosen else True,
            "needs_review": decision.needs_review,
            "review_reasons": [str(reason) for reason in decision.reasons],
            "sampled": len(rollouts),
            "parsed": sum(one.outcome.answer is not None for one in rollouts),
            "planned": planned,
            "guidance_step": guidance.step,
            "guidance": guidance.digest,
            "part": str(part),
            "error": error,
        },
    }


def stamp(when: datetime) -> str:
    """A UTC time as the records write it.

    >>> from datetime import UTC
    >>> stamp(datetime(2025, 11, 3, 8, 55, 12, 483920, tzinfo=UTC))
    '2025-11-03T08:55:12.483920Z'
    """
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")
