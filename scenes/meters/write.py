"""Writes drawn meter boxes to disk: photos and tickets for evaluation, and one file with both for the trainer.

Equal arguments give equal files for any number of workers: photo n depends only on the seed and n.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from scenes.files import SEEDS_APART, Progress, map_in_processes, save_jpeg, write_lines
from scenes.meters.photo import PHOTO_WH, PhotoPlan, plan_photo
from scenes.meters.rules import CHECKS
from scenes.meters.tickets import MeterTicket, plan_meter_ticket
from scenes.tickets import TicketMix
from vqc.answer_words import WORDS
from vqc.codec import as_dict
from vqc.geometry import SizeWH
from vqc.verdict import verdict_word


def write_photos(
    out: Path, *, seed: int, count: int, size_wh: SizeWH = PHOTO_WH, workers: int = 1, progress: Progress | None = None
) -> Path:
    """Writes ``count`` photos to ``out/images`` and their records to ``out/data.jsonl``; returns the latter's path."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    make = partial(_write_photo, out=out, seed=seed, size_wh=size_wh)
    return write_lines(out / "data.jsonl", map_in_processes(make, count, workers), count, progress)


def write_meter_tickets(
    out: Path,
    *,
    seed: int,
    count: int,
    size_wh: SizeWH = PHOTO_WH,
    mix: TicketMix | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Writes ``count`` tickets, alternating missions, as ``out/tickets/MISSION/PASS|FAIL/GROUP/N.jpg``.

    Their records go to ``out/tickets.jsonl``, whose path is returned.
    """
    out.mkdir(parents=True, exist_ok=True)
    make = partial(_write_ticket, out=out, seed=seed, size_wh=size_wh, mix=mix or TicketMix())
    return write_lines(out / "tickets.jsonl", map_in_processes(make, count, workers), count, progress)


def write_training_file(out: Path, *, seed: int, text_tickets: int = 0) -> Path:
    """Joins ``out/data.jsonl`` and ``out/tickets.jsonl`` to ``out/train.jsonl``; returns its path.

    Tickets have summaries, photos and both in turn. ``text_tickets`` more have summaries only; their photos are not drawn.
    """
    lines = [*_photo_lines(out), *_ticket_lines(out), *_text_lines(out, seed, text_tickets)]
    return write_lines(out / "train.jsonl", lines, len(lines))


def photo_record(plan: PhotoPlan, image: str) -> dict[str, object]:
    """A photo's record in the trainer's format: pixel coordinates, the image's path as given."""
    return {
        "images": [image],
        "objects": [as_dict(item) for item in plan.objects],
        "width": plan.size_wh[0],
        "height": plan.size_wh[1],
        "summary": plan.line,
    }


def meter_ticket_record(ticket: MeterTicket, photos: Sequence[str]) -> dict[str, object]:
    """A ticket's record: the filed verdict and the true one in English words, the reason, and the photos' lines."""
    return {
        "task": "verdict",
        "mission": ticket.mission,
        "group_id": ticket.group_id,
        "verdict": verdict_word(ticket.label, WORDS["en"]),
        "true_label": ticket.true_label.value,
        "noise": ticket.noise,
        "hidden": ticket.hidden,
        "reason": ticket.reason,
        "photos": list(photos),
        "summaries": [plan.line for plan in ticket.photos],
    }


def _write_photo(index: int, *, out: Path, seed: int, size_wh: SizeWH) -> str:
    plan, name = plan_photo(seed * SEEDS_APART + index, size_wh=size_wh), f"images/{index + 1:06d}.jpg"
    save_jpeg(plan.paint(), out / name)
    return json.dumps(photo_record(plan, name), ensure_ascii=False)


def _write_ticket(index: int, *, out: Path, seed: int, size_wh: SizeWH, mix: TicketMix) -> str:
    ticket = _plan_nth(seed, index, size_wh=size_wh, mix=mix)
    folder = Path("tickets", ticket.mission, verdict_word(ticket.label, WORDS["en"]), ticket.group_id)
    (out / folder).mkdir(parents=True, exist_ok=True)
    photos = [(folder / f"{n}.jpg").as_posix() for n in range(1, len(ticket.photos) + 1)]
    for plan, photo in zip(ticket.photos, photos, strict=True):
        save_jpeg(plan.paint(), out / photo)
    return json.dumps(meter_ticket_record(ticket, photos), ensure_ascii=False)


def _plan_nth(seed: int, index: int, *, size_wh: SizeWH = PHOTO_WH, mix: TicketMix | None = None) -> MeterTicket:
    missions = tuple(CHECKS)
    return plan_meter_ticket(seed * SEEDS_APART + index, missions[index % len(missions)], size_wh=size_wh, mix=mix)


def _photo_lines(out: Path) -> list[str]:
    return (out / "data.jsonl").read_text("utf-8").splitlines()


def _ticket_lines(out: Path) -> Iterator[str]:
    path = out / "tickets.jsonl"
    for n, line in enumerate(path.read_text("utf-8").splitlines() if path.exists() else ()):
        without = ({"photos": []}, {"summaries": []}, {})[n // len(CHECKS) % 3]  # each way for each mission
        yield json.dumps(json.loads(line) | without, ensure_ascii=False)


def _text_lines(out: Path, seed: int, count: int) -> Iterator[str]:
    first = sum(1 for _ in _ticket_lines(out))
    for index in range(first, first + count):
        yield json.dumps(meter_ticket_record(_plan_nth(seed, index), []), ensure_ascii=False)
