"""Decides whether a selected verdict is released or goes to a person (abstention), with every reason named."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.judging.calibration import Calibration
from service.judging.evidence import SummaryConfidence
from service.judging.judge import Judgement
from vqc.missions import Mission
from vqc.verdict import Verdict


class ReviewReason(StrEnum):
    """Why a ticket needs review."""

    NO_VERDICT = "no_verdict"
    SUMMARIES_UNCLEAR = "summaries_unclear"
    DIVIDED_VOTE = "divided_vote"
    BELOW_THRESHOLD = "below_threshold"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictDecision:
    """``verdict`` is the released verdict; it is None exactly when there are ``reasons`` for a review."""

    verdict: Verdict | None
    reasons: tuple[ReviewReason, ...]

    @property
    def needs_review(self) -> bool:
        """Whether a person has to decide."""
        return bool(self.reasons)


def decide(mission: Mission, chosen: Judgement | None, calibration: Calibration | None) -> VerdictDecision:
    """The decision for a ticket's chosen judgement (None: no rollout parsed). It reads no label.

    A 不通过 releases nothing, so only a divided vote sends it to review. Without a calibration a 通过 is released
    whatever its score.

    >>> from vqc.missions import mission_named
    >>> decide(mission_named("挡风板安装检查"), None, None)
    VerdictDecision(verdict=None, reasons=(<ReviewReason.NO_VERDICT: 'no_verdict'>,))
    """
    if chosen is None:
        return VerdictDecision(verdict=None, reasons=(ReviewReason.NO_VERDICT,))
    verdict, merit = chosen.answer.verdict, chosen.merit
    doubts = {
        ReviewReason.SUMMARIES_UNCLEAR: verdict is Verdict.PASS
        and chosen.summary_confidence is SummaryConfidence.NEEDS_REVIEW,
        ReviewReason.DIVIDED_VOTE: merit.vote_share < mission.vote_threshold,
        ReviewReason.BELOW_THRESHOLD: calibration is not None
        and not calibration.releases(verdict, merit.semantic_advantage),
    }
    reasons = tuple(reason for reason, doubted in doubts.items() if doubted)
    return VerdictDecision(verdict=None if reasons else verdict, reasons=reasons)
