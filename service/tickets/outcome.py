"""The outcome of a judged ticket, in the format of the training-free loop's artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from service.judging.calibration import Calibration
from service.judging.judge_ticket import JudgedTicket
from service.judging.records import scores_record, trajectory_record
from service.judging.rollouts import Rollout
from service.tickets.ticket import JsonObject, Outcome, TicketPhoto

PHOTO_WITHOUT_LINE = "photo_without_line"
"""A review reason beside those of ``decision``: a photo without a line cannot count as good."""

MISSION_UNTRAINED = "mission_untrained"
"""Another one: the model was not trained on the mission, and no calibration shows that it can judge it all the same."""


def outcome_of(
    judged: JudgedTicket, calibration: Calibration | None, photos: Sequence[TicketPhoto], *, trained: bool = True
) -> Outcome:
    """The outcome, with every reason for a review. ``trained``: the model was trained on the mission."""
    chosen = judged.chosen
    reasons = [reason.value for reason in judged.decision.reasons]
    if any(photo.summary is None for photo in photos):
        reasons.append(PHOTO_WITHOUT_LINE)
    if not trained and calibration is None:
        reasons.append(MISSION_UNTRAINED)
    return Outcome(
        verdict=judged.selection.verdict,
        reason=chosen.answer.reason if chosen else None,
        score=chosen.merit.semantic_advantage if chosen else None,
        vote_share=judged.selection.vote_share,
        threshold=calibration.threshold if calibration else None,
        review_reasons=tuple(reasons),
        missing=judged.decision.missing,
        selection=_selection(judged),
        trajectories=tuple(_trajectory(judged, rollout) for rollout in judged.rollouts),
    )


def _selection(judged: JudgedTicket) -> JsonObject:
    return {
        "selected_candidate": judged.selection.candidate_index,
        "summary_confidence": str(judged.summary_confidence),
        "sampled": len(judged.rollouts),
        "parsed": len(judged.judgements),
        "planned": judged.planned,
        "prompt_digest": judged.prompt_digest,
        "scores": judged.chosen and scores_record(judged.chosen),
    }


def _trajectory(judged: JudgedTicket, rollout: Rollout) -> JsonObject:
    judgement = next((one for one in judged.judgements if one.rollout is rollout), None)
    ticket = judged.ticket
    return cast(JsonObject, trajectory_record(ticket.group_id, ticket.mission.name, 0, rollout, judgement)["result"])
