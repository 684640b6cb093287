"""Tickets in every state for the console's tests, as a worker leaves them; one has a photo with HTML in its name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from service.judging.sampler import EvidenceKind
from service.tickets.services import TicketServices
from service.tickets.store import Event
from service.tickets.ticket import Failure, JudgedWith, Outcome, Ticket, TicketPhoto, id_at
from vqc.verdict import Verdict

PHOTOS = [
    Path(__file__).parents[2] / "deploy" / "demo" / "photos" / f"{name}.jpg"
    for name in ("rru", "ports", "odf", "ground-bar", "drawing")
]
"""Photos in which the scripted engine finds something."""
MISSION = "挡风板安装检查"
EVIL = '"><img src=x onerror=alert(1)>.jpg'
LINES = ("BBU设备/华为,显示完整,机柜空间充足需要安装×1", "挡风板/华为,只显示部分,安装方向正确×1")
SCORES = {
    "label_match": None,
    "focus_consistency": 0.5,
    "heuristic_score": 0.6,
    "summary_confidence": "low",
    "semantic_advantage": 0.647,
    "label_contradiction": False,
    "needs_recheck": True,
    "rationale_quality": 1.0,
}


async def add_reviewable(
    desk: TicketServices,
    ticket_id: str,
    *,
    reasons: tuple[str, ...] = ("divided_vote",),
    verdict: Verdict | None = Verdict.PASS,
    mission: str = MISSION,
    hours: float = 1.0,
    photos: int = 2,
    name: str = "现场.jpg",
) -> Ticket:
    """A judged ticket, ``hours`` old; without ``reasons`` the machine's verdict stands."""
    ticket = await add_queued(desk, ticket_id, mission=mission, hours=hours, photos=photos, name=name)
    pinned = JudgedWith(model_alias="champion", model_digest=f"sha256:{'ab' * 32}", guidance="c" * 64, sampler="d" * 64)
    steps = (
        Ticket.claim,
        lambda record: record.pin(1, pinned),
        lambda record: record.with_outcome(1, _outcome(verdict, reasons), record.accepted_at + timedelta(minutes=1)),
    )
    for step in steps:
        ticket = await desk.store.update(ticket.id, lambda record, step=step: (step(record), [Event(name="step")]))
    return ticket


async def add_dead_letter(desk: TicketServices, ticket_id: str) -> Ticket:
    """A dead letter."""
    ticket = await add_queued(desk, ticket_id, hours=2, photos=1)
    failure = Failure(kind="EngineFailed", detail="the engine answered 500 <b>three times</b>")
    for step in (Ticket.claim, lambda record: record.fail(1, failure, datetime.now(UTC))):
        ticket = await desk.store.update(ticket.id, lambda record, step=step: (step(record), [Event(name="finished")]))
    return ticket


async def add_queued(
    desk: TicketServices,
    ticket_id: str,
    *,
    mission: str = MISSION,
    hours: float = 0.0,
    photos: int = 2,
    name: str = "现场.jpg",
) -> Ticket:
    """A ticket that waits for a worker; its photos are in the blob store."""
    moment = datetime.now(UTC) - timedelta(hours=hours)
    kept = []
    for n in range(1, photos + 1):
        data = PHOTOS[n - 1].read_bytes()
        digest = sha256(data).hexdigest()
        await desk.blobs.put(digest, data)
        line = LINES[(n - 1) % len(LINES)]
        kept.append(TicketPhoto(image_id=f"image_{n}", name=name, digest=digest, media_type="image/jpeg", summary=line))
    ticket = Ticket(
        id=id_at(moment, sha256(ticket_id.encode()).hexdigest()[:20]),
        mission=mission,
        evidence=EvidenceKind.SUMMARIES,
        photos=tuple(kept),
        accepted_at=moment,
        ticket_id=ticket_id,
    )
    return await desk.store.create(ticket, Event(name="accepted"), None)


def _outcome(verdict: Verdict | None, reasons: tuple[str, ...]) -> Outcome:
    votes = [(Verdict.PASS, "挡风板安装方向正确")] * 5 + [(Verdict.FAIL, "挡风板只显示部分,无法确认")] * 3
    trajectories = tuple(
        {
            "candidate_index": n,
            "temperature": (0.3, 0.6, 0.9)[n % 3],
            "text": f"{said}\n理由: {reason}",
            "verdict": str(said),
            "reason": reason,
            "format_ok": True,
            "scores": SCORES | {"semantic_advantage": 0.647 if said is Verdict.PASS else 0.58},
        }
        for n, (said, reason) in enumerate(votes)
    )
    unread = {
        "candidate_index": 8,
        "temperature": 0.9,
        "text": "不知道",
        "verdict": None,
        "reason": None,
        "scores": None,
    }
    selection = {"selected_candidate": 0, "sampled": 9, "parsed": 8, "planned": 12, "scores": SCORES}
    found = Outcome(
        verdict=verdict,
        reason="挡风板安装方向正确",
        score=0.647,
        vote_share=0.625,
        threshold=0.82,
        review_reasons=reasons,
        selection=selection,
        trajectories=(*trajectories, unread),
    )
    return found if verdict else replace(found, reason=None, score=None, selection=selection | {"scores": None})
