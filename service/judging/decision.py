"""Decides whether a selected verdict is released or goes to a person (abstention), with every reason named.

A 通过 passes three gates in this order: the evidence, the calibration, the risk. A 不通过 releases nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.judging.calibration import Calibration
from service.judging.evidence import Evidence, SummaryConfidence
from service.judging.judge import Judgement
from vqc.missions import Mission
from vqc.verdict import Verdict


class ReleaseRule(StrEnum):
    """What a 通过 needs to be released without a person."""

    CALIBRATED = "calibrated"
    """All three gates: evidence, a calibration, and a score that it accepts."""

    RULES = "rules"
    """The evidence, and the calibration only where there is one."""

    ALWAYS = "always"
    """Neither; only a calibration that there is, unclear lines and a divided vote hold it back."""


class ReviewReason(StrEnum):
    """Why a ticket needs review."""

    NO_VERDICT = "no_verdict"
    SUMMARIES_UNCLEAR = "summaries_unclear"
    DIVIDED_VOTE = "divided_vote"
    EVIDENCE_MISSING = "evidence_missing"
    NOT_CALIBRATED = "not_calibrated"
    ABOVE_RISK = "above_risk"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictDecision:
    """``verdict`` is the released verdict; it is None exactly when there are ``reasons`` for a review.

    ``missing`` names the required key items that no line shows, if that is one of the reasons.
    """

    verdict: Verdict | None
    reasons: tuple[ReviewReason, ...]
    missing: tuple[str, ...] = ()

    @property
    def needs_review(self) -> bool:
        """Whether a person has to decide."""
        return bool(self.reasons)


NO_VERDICT = VerdictDecision(verdict=None, reasons=(ReviewReason.NO_VERDICT,))
"""The decision for a ticket of which no rollout parsed."""


def decide(
    mission: Mission,
    chosen: Judgement | None,
    shown: Evidence,
    calibration: Calibration | None,
    rule: ReleaseRule = ReleaseRule.CALIBRATED,
) -> VerdictDecision:
    """The decision for a ticket's chosen judgement (None: no rollout parsed) and what its lines show. It reads no label.

    >>> from service.judging.evidence import evidence
    >>> from vqc.missions import mission_named
    >>> mission = mission_named("挡风板安装检查")
    >>> decide(mission, None, evidence(mission, []), None)
    VerdictDecision(verdict=None, reasons=(<ReviewReason.NO_VERDICT: 'no_verdict'>,), missing=())
    """
    if chosen is None:
        return NO_VERDICT
    verdict, merit = chosen.answer.verdict, chosen.merit
    passes = verdict is Verdict.PASS
    missing = shown.missing if passes and rule is not ReleaseRule.ALWAYS else ()
    doubts = {
        ReviewReason.SUMMARIES_UNCLEAR: passes and chosen.summary_confidence is SummaryConfidence.NEEDS_REVIEW,
        ReviewReason.DIVIDED_VOTE: merit.vote_share < mission.vote_threshold,
        ReviewReason.EVIDENCE_MISSING: bool(missing),
        ReviewReason.NOT_CALIBRATED: passes and calibration is None and rule is ReleaseRule.CALIBRATED,
        ReviewReason.ABOVE_RISK: calibration is not None
        and not calibration.releases(verdict, merit.semantic_advantage),
    }
    reasons = tuple(reason for reason, doubted in doubts.items() if doubted)
    return VerdictDecision(verdict=None if reasons else verdict, reasons=reasons, missing=missing)
