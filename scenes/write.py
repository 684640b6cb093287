"""Writes drawn photos to disk: data sets for the trainer, and tickets for Stage-B.

Equal arguments give equal files for any number of workers: scene n depends only on the seed and n.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from scenes.camera import REFERENCE_WH
from scenes.files import SEEDS_APART, Progress, map_in_processes, save_jpeg, write_lines
from scenes.lessons import plan_lesson
from scenes.scene import Scene, plan_scene
from scenes.tickets import DrawnTicket, TicketMix, TicketPlan, draw_ticket, plan_ticket
from scenes.vocabulary import Domain
from vqc.codec import as_dict
from vqc.geometry import SizeWH
from vqc.summary import render
from vqc.verdict import Verdict

DIRECTORY_OF = {Verdict.PASS: "审核通过", Verdict.FAIL: "审核不通过"}
"""The directory name is the label, as operators file tickets."""


def write_dataset(
    out: Path,
    *,
    seed: int,
    count: int,
    size_wh: SizeWH = REFERENCE_WH,
    domain: Domain = "base",
    workers: int = 1,
    progress: Progress | None = None,
    lessons: bool = False,
) -> Path:
    """Writes ``count`` photos to ``out/images`` and their records to ``out/data.jsonl``; returns the latter's path.

    ``lessons`` draws the photos of ``scenes.lessons`` instead of natural ones.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    make = partial(_write_photo, out=out, seed=seed, size_wh=size_wh, domain=domain, lessons=lessons)
    return write_lines(out / "data.jsonl", map_in_processes(make, count, workers), count, progress)


def write_tickets(
    out: Path,
    *,
    seed: int,
    missions: Iterable[str],
    count: int,
    size_wh: SizeWH = REFERENCE_WH,
    domain: Domain = "base",
    mix: TicketMix | None = None,
    summaries: bool = True,
    workers: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Writes ``count`` tickets, alternating missions, as ``out/<mission>/<审核通过|审核不通过>/<group_id>/<n>.jpg``.

    Their records go to ``out/tickets.jsonl``, whose path is returned. ``summaries`` false omits the Stage-A lines.
    """
    out.mkdir(parents=True, exist_ok=True)
    make = partial(
        _write_ticket,
        out=out,
        seed=seed,
        missions=tuple(missions),
        size_wh=size_wh,
        domain=domain,
        mix=mix or TicketMix(),
        summaries=summaries,
    )
    return write_lines(out / "tickets.jsonl", map_in_processes(make, count, workers), count, progress)


def record(scene: Scene, image: str) -> dict[str, object]:
    """A photo's record in the trainer's format: pixel coordinates, the image's path as given.

    The trainer ignores ``theme`` and ``flaw``, from which ``scenes.compose`` makes tickets.
    """
    return {
        "images": [image],
        "objects": [as_dict(item) for item in scene.objects],
        "width": scene.size_wh[0],
        "height": scene.size_wh[1],
        "summary": render(scene.summary),
        "theme": scene.theme.value,
        "flaw": scene.hidden.value if scene.hidden else None,
    }


def ticket_record(ticket: DrawnTicket | TicketPlan, photos: list[str], *, summaries: bool = True) -> dict[str, object]:
    """A ticket's record: the filed label, the true label, and the reason."""
    lines = {"summaries": [render(scene.summary) for scene in ticket.photos]} if summaries else {}
    return {
        "mission": ticket.mission,
        "group_id": ticket.group_id,
        "label": ticket.label.value,
        "true_label": ticket.true_label.value,
        "noise": ticket.noise,
        "hidden": ticket.hidden,
        "reason": ticket.reason,
        "photos": photos,
        **lines,
    }


def planned_tickets(
    seed: int, numbers: range, *, missions: Iterable[str], domain: Domain = "base", mix: TicketMix | None = None
) -> Iterator[TicketPlan]:
    """Plans of the tickets with these numbers, as ``write_tickets`` would paint them for the same seed and missions."""
    names = tuple(missions)
    for n in numbers:
        yield plan_ticket(seed * SEEDS_APART + n, names[n % len(names)], domain=domain, mix=mix)


def _write_photo(index: int, *, out: Path, seed: int, size_wh: SizeWH, domain: Domain, lessons: bool) -> str:
    plan = plan_lesson if lessons else plan_scene
    scene = plan(seed * SEEDS_APART + index, size_wh=size_wh, domain=domain).paint()
    name = f"images/{index + 1:06d}.jpg"
    save_jpeg(scene.image, out / name)
    return json.dumps(record(scene, name), ensure_ascii=False)


def _write_ticket(
    index: int,
    *,
    out: Path,
    seed: int,
    missions: tuple[str, ...],
    size_wh: SizeWH,
    domain: Domain,
    mix: TicketMix,
    summaries: bool,
) -> str:
    mission = missions[index % len(missions)]
    ticket = draw_ticket(seed * SEEDS_APART + index, mission, size_wh=size_wh, domain=domain, mix=mix)
    folder = Path(mission) / DIRECTORY_OF[ticket.label] / ticket.group_id
    (out / folder).mkdir(parents=True, exist_ok=True)
    photos = [(folder / f"{n}.jpg").as_posix() for n in range(1, len(ticket.photos) + 1)]
    for scene, photo in zip(ticket.photos, photos, strict=True):
        save_jpeg(scene.image, out / photo)
    return json.dumps(ticket_record(ticket, photos, summaries=summaries), ensure_ascii=False)
