"""Scores every rollout of a ticket: first its merit, which is independent of any label, then how it compares to a label.

The scores are defined in ``docs/stage-b.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from service.judging.evidence import Evidence, SummaryConfidence, evidence
from service.judging.rollouts import Rollout
from service.judging.selection import Candidate
from service.platform.judging_words import JUDGING_WORDS
from service.platform.mission_words import cited_items, complaints
from vqc.missions import Mission
from vqc.verdict import REASON_LENGTH, Verdict, VerdictAnswer

UNDETERMINED = 0.6
"""The heuristic score of a verdict that the lines neither support nor contradict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merit:
    """The scores of a rollout that need no label, each 0 to 1."""

    focus_consistency: float
    heuristic_score: float
    rationale_quality: float
    vote_share: float

    @property
    def semantic_advantage(self) -> float:
        """The weighted sum of the four scores, rounded to six decimals.

        >>> Merit(focus_consistency=1, heuristic_score=0.6, rationale_quality=1, vote_share=0.62).semantic_advantage
        0.822
        """
        # Rounded, so that scores that are equal by definition compare equal: in ties of selection, and >= at a threshold.
        return round(
            0.35 * self.focus_consistency
            + 0.35 * self.heuristic_score
            + 0.20 * self.rationale_quality
            + 0.10 * self.vote_share,
            6,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A parsed rollout with its scores. ``label_match`` is None without a label."""

    rollout: Rollout
    answer: VerdictAnswer
    merit: Merit
    summary_confidence: SummaryConfidence
    label_match: bool | None
    label_contradiction: bool
    needs_recheck: bool

    @property
    def candidate(self) -> Candidate:
        """The part that selection may see: everything but the label."""
        return Candidate(
            candidate_index=self.rollout.candidate_index,
            verdict=self.answer.verdict,
            temperature=self.rollout.temperature,
            semantic_advantage=self.merit.semantic_advantage,
        )


def judge(
    mission: Mission, summaries: Sequence[str], rollouts: Sequence[Rollout], label: Verdict | None = None
) -> tuple[Judgement, ...]:
    """A judgement for each rollout that parsed, in their order.

    >>> from engine.protocol import DecodingParams
    >>> from service.judging.rollouts import plan, rollout
    >>> from vqc.missions import mission_named
    >>> entry, = plan([DecodingParams(max_new_tokens=64, temperature=0.6)], 2)
    >>> texts = ("不通过\\n理由: 挡风板安装方向错误", "通过\\n理由: 符合要求")
    >>> lines = ["BBU设备/华为,显示完整,无需安装×1"]
    >>> found = judge(mission_named("挡风板安装检查"), lines, [rollout(entry, i, t) for i, t in enumerate(texts)])
    >>> [(j.merit.heuristic_score, j.merit.rationale_quality, j.merit.semantic_advantage) for j in found]
    [(0.0, 1.0, 0.6), (1.0, 0.7, 0.54)]
    """
    parsed = [(rollout, rollout.outcome.answer) for rollout in rollouts if rollout.outcome.answer is not None]
    votes = Counter(answer.verdict for _, answer in parsed)
    shown = evidence(mission, summaries)
    # Shares are of the parsed rollouts: one that cannot be read votes for neither verdict.
    return tuple(
        _judgement(mission, shown, rollout, answer, votes[answer.verdict] / len(parsed), label)
        for rollout, answer in parsed
    )


def focus_consistency(mission: Mission, shown: Evidence, answer: VerdictAnswer) -> float:
    """The share of the mission's key items that the reason cites.

    It is 1.0 for a 不通过 that cites an item which the lines show violated or not at all, or which the reason calls faulty.
    """
    named = cited_items(mission, answer.reason)
    # A 通过 claims that every item is fine and should name them all; one defect is reason enough for a 不通过.
    if answer.verdict is Verdict.FAIL and (named & shown.lacking or complaints(mission, answer.reason)):
        return 1.0
    return len(named) / len(mission.key_items)


def heuristic_score(shown: Evidence, verdict: Verdict) -> float:
    """1 when the lines alone support the verdict, 0 when they support the other one, 0.6 when they support neither."""
    return UNDETERMINED if shown.verdict is None else float(shown.verdict is verdict)


def rationale_quality(mission: Mission, reason: str) -> float:
    """1.0 less 0.3 for each defect: empty, cites no key item, hedges, over 200 characters. Never below 0.

    >>> from vqc.missions import mission_named
    >>> rationale_quality(mission_named("挡风板安装检查"), "可能符合要求")
    0.4
    """
    defects = (
        not reason.strip(),
        not cited_items(mission, reason),
        any(word in reason.lower() for word in JUDGING_WORDS[mission.language].doubt),
        len(reason) > REASON_LENGTH,
    )
    return max(0.0, round(1.0 - 0.3 * sum(defects), 1))


def _judgement(
    mission: Mission, shown: Evidence, rollout: Rollout, answer: VerdictAnswer, vote_share: float, label: Verdict | None
) -> Judgement:
    merit = Merit(
        focus_consistency=focus_consistency(mission, shown, answer),
        heuristic_score=heuristic_score(shown, answer.verdict),
        rationale_quality=rationale_quality(mission, answer.reason),
        vote_share=vote_share,
    )
    match = None if label is None else answer.verdict is label
    # The lines do not speak against the verdict but the label does: more likely a wrong label than a wrong verdict.
    contradiction = match is False and merit.heuristic_score >= UNDETERMINED
    unsure = shown.confidence is SummaryConfidence.NEEDS_REVIEW or vote_share < mission.vote_threshold
    return Judgement(
        rollout=rollout,
        answer=answer,
        merit=merit,
        summary_confidence=shown.confidence,
        label_match=match,
        label_contradiction=contradiction,
        needs_recheck=unsure or contradiction,
    )
