"""Synthetic data for runs without data files: ``scenes`` draws photos and tickets into one JSONL file per split."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.config import SceneSet, ScenesSection
from vqc.contract import digest

if TYPE_CHECKING:
    from scenes.compose import PhotoFacts
    from trainer.data.dataset import Split

DONE = "drawn.json"
"""Written last, with a digest of the settings, so that a second run with the same settings draws nothing."""


def draw_data(section: ScenesSection, directory: Path, workers: int = 1) -> dict[Split, Path]:
    """The JSONL file of each split under ``directory``, drawn unless the same data already exists.

    Only one process of a run may call it at a time; the others wait.
    """
    sets: dict[Split, SceneSet | None] = {"train": section.train, "val": section.val}
    return {split: _draw_split(part, section, directory / split, workers) for split, part in sets.items() if part}


def _draw_split(part: SceneSet, section: ScenesSection, directory: Path, workers: int) -> Path:
    path, done = directory / "data.jsonl", directory / DONE
    wanted = digest([part.model_dump(), section.domain, section.size_wh])
    if done.exists() and json.loads(done.read_text("utf-8")) == wanted:
        return path
    from scenes.camera import REFERENCE_WH
    from scenes.rules import RULES
    from scenes.write import write_dataset, write_tickets

    shutil.rmtree(directory, ignore_errors=True)
    size_wh = section.size_wh or REFERENCE_WH
    photos = write_dataset(
        directory, seed=part.seed, count=part.count, size_wh=size_wh, domain=section.domain, workers=workers
    )
    if part.tickets:
        tickets = write_tickets(
            directory,
            seed=part.seed,
            missions=RULES,
            count=part.tickets,
            size_wh=size_wh,
            domain=section.domain,
            workers=workers,
        )
        with photos.open("a", encoding="utf-8") as file:
            file.writelines(_alternate_evidence(tickets))
    if part.lessons:
        _add_lessons(part, section, directory, photos, workers)
    if part.composed_tickets:
        records = list(_ticket_records(part, photos))
        with photos.open("a", encoding="utf-8") as file:
            file.writelines(records)
    if part.text_tickets:
        with photos.open("a", encoding="utf-8") as file:
            file.writelines(_text_only(part, section))
    done.write_text(json.dumps(wanted), "utf-8")
    return path


def _add_lessons(part: SceneSet, section: ScenesSection, directory: Path, photos: Path, workers: int) -> None:
    """Draws the lessons into a folder of their own and adds their records to those of the photos."""
    from scenes.camera import REFERENCE_WH
    from scenes.write import write_dataset

    size_wh = section.size_wh or REFERENCE_WH
    drawn = write_dataset(
        directory / "lessons", seed=part.seed, count=part.lessons, size_wh=size_wh, domain=section.domain,
        workers=workers, lessons=True,
    )  # fmt: skip
    with photos.open("a", encoding="utf-8") as file, drawn.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            record["images"] = [f"lessons/{image}" for image in record["images"]]
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


EVIDENCE = {"summaries": 0.35, "photos": 0.4, "both": 0.25}
"""Shares of composed tickets by what they show. Verdicts from photos are the hardest to learn."""


def _ticket_records(part: SceneSet, photos: Path) -> Iterator[str]:
    """Records of tickets composed of the photos in this file, missions in turn."""
    from scenes.compose import MissionPhotos
    from scenes.rules import RULES

    pool = list(_facts(photos))
    missions = [MissionPhotos(mission, pool) for mission in RULES]
    for n in range(part.composed_tickets):
        rng = random.Random(f"composed/{part.seed}/{n}")
        evidence = rng.choices(tuple(EVIDENCE), tuple(EVIDENCE.values()))[0]
        ticket = missions[n % len(missions)].compose(rng, lines_only=evidence == "summaries")
        record = {
            "task": "verdict",
            "mission": ticket.mission,
            "label": ticket.answer.verdict.value,
            "reason": ticket.answer.reason,
            "photos": [] if evidence == "summaries" else [photo.image for photo in ticket.photos],
            "summaries": [] if evidence == "photos" else [photo.line for photo in ticket.photos],
        }
        yield json.dumps(record, ensure_ascii=False) + "\n"


def _facts(photos: Path) -> Iterator[PhotoFacts]:
    from scenes.compose import PhotoFacts
    from scenes.defect_rates import Hidden, Theme

    with photos.open(encoding="utf-8") as file:
        for record in map(json.loads, file):
            if "theme" in record:
                yield PhotoFacts(
                    image=record["images"][0],
                    theme=Theme(record["theme"]),
                    descs=tuple(item["desc"] for item in record["objects"]),
                    line=record["summary"],
                    hidden=Hidden(record["flaw"]) if record["flaw"] else None,
                )


def _text_only(part: SceneSet, section: ScenesSection) -> Iterator[str]:
    """Ticket records with summaries only; their seeds continue those of the drawn tickets."""
    from scenes.rules import RULES
    from scenes.write import planned_tickets, ticket_record

    numbers = range(part.tickets, part.tickets + part.text_tickets)
    for plan in planned_tickets(part.seed, numbers, missions=RULES, domain=section.domain):
        yield json.dumps({"task": "verdict", **ticket_record(plan, [])}, ensure_ascii=False) + "\n"


def _alternate_evidence(tickets: Path) -> Iterator[str]:
    """Ticket records, alternately with summaries only, photos only and both."""
    with tickets.open(encoding="utf-8") as file:
        for n, line in enumerate(file):
            record = {"task": "verdict", **json.loads(line)}
            if n % 3 == 0:
                record["photos"] = []
            elif n % 3 == 1:
                record["summaries"] = []
            yield json.dumps(record, ensure_ascii=False) + "\n"
