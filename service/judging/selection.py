"""Selects the rollout that represents its ticket. Its input has no field for a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vqc.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The part of a parsed rollout that selection sees."""

    candidate_index: int
    verdict: Verdict
    temperature: float
    semantic_advantage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The majority's verdict, its best rollout and the share of the parsed rollouts that agree.

    If no rollout parsed, ``verdict`` and ``candidate_index`` are None and a person has to decide.
    """

    verdict: Verdict | None
    candidate_index: int | None
    vote_share: float

    @property
    def needs_review(self) -> bool:
        """Whether there is no verdict."""
        return self.verdict is None


def majority(passes: int, fails: int) -> Verdict:
    """The verdict of most votes; a tie is 不通过.

    >>> str(majority(2, 2)), str(majority(3, 2))
    ('不通过', '通过')
    """
    return Verdict.PASS if passes > fails else Verdict.FAIL


def select(candidates: Sequence[Candidate]) -> Selection:
    """Selects the majority verdict, then its best rollout by score, lower temperature and candidate index.

    >>> def voted(index, verdict, advantage):
    ...     return Candidate(candidate_index=index, verdict=verdict, temperature=0.6, semantic_advantage=advantage)
    >>> select([voted(0, Verdict.PASS, 0.9), voted(1, Verdict.FAIL, 0.5), voted(2, Verdict.FAIL, 0.7)])
    Selection(verdict=<Verdict.FAIL: '不通过'>, candidate_index=2, vote_share=0.6666666666666666)
    >>> select([]).needs_review
    True
    """
    if not candidates:
        return Selection(verdict=None, candidate_index=None, vote_share=0.0)
    passes = sum(candidate.verdict is Verdict.PASS for candidate in candidates)
    verdict = majority(passes, len(candidates) - passes)
    agreeing = [candidate for candidate in candidates if candidate.verdict is verdict]
    # Scores often tie. The colder answer is the more typical one; the index makes the order total, so that a resumed or
    # repeated run selects the same rollout.
    best = min(agreeing, key=lambda one: (-one.semantic_advantage, one.temperature, one.candidate_index))
    return Selection(verdict=verdict, candidate_index=best.candidate_index, vote_share=len(agreeing) / len(candidates))
