"""Sixteen samples of all tasks: photos within, under and over the tiny checkpoint's pixel limits, and no photos."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from scenes.scene import draw_scene
from scenes.tickets import draw_ticket
from scenes.write import record, save_jpeg, ticket_record
from trainer.data.dataset import SampleDataset
from trainer.data.example import Example
from vqc.geometry import SizeWH


class Fit(StrEnum):
    """How a sample's photos lie to the pixel limits of the checkpoint's processor."""

    UNTOUCHED = "within the limits, sides multiples of 32 px"
    ROUNDED = "within the limits, other sides"
    OVER = "over the upper limit"
    UNDER = "under the lower limit"
    NONE = "no photo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One sample of this trainer's data set, and the files of its photos."""

    name: str
    fit: Fit
    example: Example
    files: tuple[Path, ...]


PHOTOS: tuple[tuple[Fit, SizeWH, str], ...] = (
    (Fit.UNTOUCHED, (512, 384), "dense"),
    (Fit.UNTOUCHED, (640, 480), "dense"),
    (Fit.UNTOUCHED, (384, 512), "dense"),
    (Fit.UNTOUCHED, (512, 384), "stage_a"),
    (Fit.UNTOUCHED, (1024, 768), "stage_a"),
    (Fit.ROUNDED, (500, 375), "dense"),
    (Fit.ROUNDED, (1000, 750), "dense"),
    (Fit.ROUNDED, (701, 523), "stage_a"),
    (Fit.OVER, (1280, 960), "dense"),
    (Fit.OVER, (1600, 1200), "stage_a"),
    (Fit.UNDER, (256, 192), "dense"),
    (Fit.UNDER, (320, 200), "dense"),
    (Fit.UNDER, (300, 210), "stage_a"),
)
TICKETS: tuple[tuple[Fit, str], ...] = (
    (Fit.UNTOUCHED, "photos"),
    (Fit.UNTOUCHED, "photos and summaries"),
    (Fit.NONE, "summaries"),
)
TICKET_MISSION, TICKET_SIZE_WH = "挡风板安装检查", (512, 384)


def cases(directory: Path) -> list[Case]:
    """Writes the photos and ``data.jsonl`` to ``directory`` and returns the samples, the same every time."""
    directory.mkdir(parents=True, exist_ok=True)
    parts = [*_photos(directory), *_tickets(directory)]
    path = directory / "data.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for *_, line, _ in parts), "utf-8")
    dataset = SampleDataset(path, shuffle=False)
    return [Case(name=name, fit=fit, example=dataset[n], files=files) for n, (name, fit, _, files) in enumerate(parts)]


_CaseParts = tuple[str, Fit, dict[str, object], tuple[Path, ...]]


def _photos(directory: Path) -> Iterator[_CaseParts]:
    for number, (fit, size_wh, task) in enumerate(PHOTOS):
        scene = draw_scene(number, size_wh=size_wh)
        file = directory / f"{number}.jpg"
        save_jpeg(scene.image, file)
        width, height = size_wh
        yield f"{task} {width} × {height}", fit, {**record(scene, file.name), "task": task}, (file,)


def _tickets(directory: Path) -> Iterator[_CaseParts]:
    for number, (fit, content) in enumerate(TICKETS):
        ticket = draw_ticket(number, TICKET_MISSION, size_wh=TICKET_SIZE_WH)
        files = tuple(directory / f"ticket-{number}-{n}.jpg" for n in range(len(ticket.photos) * ("photos" in content)))
        for scene, file in zip(ticket.photos, files, strict=False):
            save_jpeg(scene.image, file)
        line = ticket_record(ticket, [file.name for file in files], summaries="summaries" in content)
        yield f"ticket, {content}", fit, {**line, "task": "verdict"}, files
