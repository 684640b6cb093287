"""Whether a selected verdict is given or a person has to look: abstention, with every reason named."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.judging.calibration import Calibration
from service.judging.evidence import SummaryConfidence
from service.judging.judge import Judgement
from vqc.missions import Mission
from vqc.verdict import Verdict


class ReviewReason(StrEnum):
    """Why a person has to look."""

    NO_VERDICT = "no_verdict"
    SUMMARIES_UNCLEAR = "summaries_unclear"
    DIVIDED_VOTE = "divided_vote"
    BELOW_THRESHOLD = "below_threshold"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictDecision:
    """``verdict`` is what is given; None exactly when there are ``reasons`` for a person to look."""

    verdict: Verdict | None
    reasons: tuple[ReviewReason, ...]

    @property
    def needs_review(self) -> bool:
        """Whether a person has to look."""
        return bool(self.reasons)


def decide(mission: Mission, chosen: Judgement | None, calibration: Calibration | None) -> VerdictDecision:
    """The decision for a ticket's chosen judgement. No label is read: label-noise candidates are the loop's business.

    不通过 releases nothing: it is held back only by a divided vote. Without a calibration a 通过 is released whatever its
    score.

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
