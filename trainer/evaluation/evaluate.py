"""Evaluates a model on labelled data: loads the data, collects the answers and scores them into one report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from trainer.data.images import image_root
from trainer.data.jsonl import JsonlIndex
from trainer.data.parse import parse_record
from trainer.data.problems import DataError
from trainer.data.records import PhotoRecord, VerdictRecord
from trainer.evaluation.answers import Answerer, LabelledPhoto, LabelledTicket
from trainer.evaluation.matching import Matching, is_line, match_objects
from trainer.evaluation.scores import (
    AttributeScore,
    FactScore,
    RegionScore,
    attribute_score,
    by_category,
    fact_score,
    region_score,
)
from vqc import summary as stage_a
from vqc.caption import DenseCaption
from vqc.errors import InvalidValue
from vqc.missions import active, missions
from vqc.parser import CaptionOutcome, Status
from vqc.summary import SummaryOutcome
from vqc.verdict import Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoResult:
    """One photo with its labels, its answers and their matching. ``matching`` is None if no caption is labelled."""

    photo: LabelledPhoto
    caption: CaptionOutcome | None
    line: SummaryOutcome | None
    matching: Matching | None

    @property
    def errors(self) -> int:
        """Number of missed and spurious objects at IoU 0.5."""
        if self.matching is None:
            return 0
        hits = sum(iou >= 0.5 for _, _, iou in self.matching.pairs)
        return len(self.matching.labelled) + len(self.matching.answered) - 2 * hits


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The report. Shares are 0..1, None where the data has no such labels."""

    model: str
    data: str
    box: RegionScore
    line: RegionScore
    categories: dict[str, RegionScore]
    attributes: AttributeScore
    facts: FactScore
    malformed: float | None
    repaired: float | None
    verdict_accuracy: float | None
    num_tickets: int
    photos: tuple[PhotoResult, ...]

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values, the main metrics at the top level."""
        report = {
            "model": self.model,
            "data": self.data,
            "num_images": len(self.photos),
            "f1_50_box": self.box.f1_50,
            "f1_50_line": self.line.f1_50,
            "f1_box": self.box.f1,
            "f1_line": self.line.f1,
            "malformed": self.malformed,
            "repaired": self.repaired,
            "stage_a_recall": self.facts.recall,
            "stage_a_precision": self.facts.precision,
            "stage_a_count_recall": self.facts.count_recall,
            "attribute_recall": self.attributes.recall,
            "desc_exact": self.attributes.exact,
            "categories": {name: asdict(score) for name, score in self.categories.items()},
        }
        if self.num_tickets:
            report |= {"verdict_accuracy": self.verdict_accuracy, "num_tickets": self.num_tickets}
        return report

    def table(self) -> str:
        """The report as readable text."""
        rows = [(key, value) for key, value in self.as_dict().items() if not isinstance(value, dict)]
        lines = [f"{key:22} {_format_value(value)}" for key, value in rows]
        for name, score in self.categories.items():
            lines.append(f"  {name}: F1@0.5 {_format_value(score.f1_50)} of {score.labelled} labelled")
        return "\n".join(lines)


def evaluate_model(
    model_dir: Path | None,
    *,
    url: str | None = None,
    api_key: str | None = None,
    data: Path,
    tickets: Path | None = None,
    limit: int | None = None,
    batch_size: int = 16,
    max_new_tokens: int = 2048,
) -> Evaluation:
    """Scores a model directory, or the service at ``url``.

    Raises:
        DataError: a record that cannot be used.
        ServiceRefused: the service did not answer a request.
    """
    answerer: Answerer
    if url is not None:
        from trainer.evaluation.remote import ServiceClient

        answerer = ServiceClient(url, api_key=api_key, concurrency=batch_size)
    else:
        from trainer.evaluation.local import LocalModel

        assert model_dir is not None
        answerer = LocalModel(model_dir, batch_size=batch_size, max_new_tokens=max_new_tokens)
    photos, found = load_labelled(data, limit)
    if tickets is not None:
        found += load_labelled(tickets, limit)[1]
    return score_answers(answerer, photos, found, data=str(data))


def score_answers(
    answerer: Answerer,
    photos: Sequence[LabelledPhoto],
    tickets: Sequence[LabelledTicket] = (),
    *,
    data: str = "",
    progress: bool = True,
) -> Evaluation:
    """The report of what ``answerer`` answers to labelled photos and tickets."""
    with_caption = [photo for photo in photos if photo.caption is not None]
    with_line = [photo for photo in photos if photo.summary is not None]
    track: Callable[..., Iterator[Any]] = _with_progress if progress else lambda items, *_: items
    captions = dict(
        zip(map(id, with_caption), track(answerer.captions(with_caption), len(with_caption), "captions"), strict=True)
    )
    lines = dict(zip(map(id, with_line), track(answerer.lines(with_line), len(with_line), "lines"), strict=True))
    verdicts = list(track(answerer.verdicts(tickets), len(tickets), "verdicts")) if tickets else []
    results = tuple(_result(photo, captions.get(id(photo)), lines.get(id(photo))) for photo in photos)
    matchings = [result.matching for result in results if result.matching is not None]
    correct = sum(
        outcome.answer is not None and outcome.answer.verdict is ticket.verdict
        for ticket, outcome in zip(tickets, verdicts, strict=True)
    )
    return Evaluation(
        model=answerer.name,
        data=data,
        box=region_score(matchings, lambda item: not is_line(item)),
        line=region_score(matchings, is_line),
        categories=by_category(matchings),
        attributes=attribute_score(matchings),
        facts=fact_score(
            (result.photo.summary, result.line.summary)
            for result in results
            if result.photo.summary is not None and result.line is not None
        ),
        malformed=_share([_is_malformed(outcome) for outcome in captions.values()]),
        repaired=_share([outcome.status is Status.REPAIRED for outcome in captions.values()]),
        verdict_accuracy=correct / len(tickets) if tickets else None,
        num_tickets=len(tickets),
        photos=results,
    )


def load_labelled(path: Path, limit: int | None = None) -> tuple[list[LabelledPhoto], list[LabelledTicket]]:
    """The photos and tickets of a JSONL file. A synthetic ticket counts by its true label, not by the noisy one.

    Raises:
        DataError: a record that cannot be used.
        InvalidValue: a photo without a file, or without width and height.
    """
    photos: list[LabelledPhoto] = []
    tickets: list[LabelledTicket] = []
    every = [mission for mission in missions().values() if mission.words == active().inspections[0].words]
    for number, (source, line) in enumerate(JsonlIndex(path, limit)):
        record, problems = parse_record(line, source, image_root(path))
        if isinstance(record, PhotoRecord):
            if record.image.path is None or record.size_wh is None:
                raise InvalidValue(source, "photo", "a photo to score must be a file, with width and height")
            mission = record.mission or every[number % len(every)]
            caption = DenseCaption.from_pixels(record.objects, record.size_wh) if record.objects is not None else None
            photos.append(
                LabelledPhoto(
                    path=record.image.path,
                    size_wh=record.size_wh,
                    caption=caption,
                    summary=stage_a.parse(record.summary, mission.words).summary if record.summary else None,
                    mission=mission,
                )
            )
        elif isinstance(record, VerdictRecord):
            true_label = json.loads(line).get("true_label")
            paths = tuple(ref.path for ref in record.images if ref.path is not None)
            tickets.append(
                LabelledTicket(
                    photos=paths,
                    summaries=record.summaries,
                    mission=record.mission,
                    verdict=Verdict(true_label) if true_label else record.answer.verdict,
                )
            )
        elif problems:
            raise DataError(problems)
    return photos, tickets


def _result(photo: LabelledPhoto, caption: CaptionOutcome | None, line: SummaryOutcome | None) -> PhotoResult:
    matching = None
    if photo.caption is not None and caption is not None:
        matching = match_objects(photo.caption.objects, caption.caption.objects if caption.caption else ())
    return PhotoResult(photo=photo, caption=caption, line=line, matching=matching)


def _is_malformed(outcome: CaptionOutcome) -> bool:
    """Whether an answer cannot be parsed, or is truncated."""
    return outcome.status is Status.MALFORMED or outcome.truncated


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _with_progress(items: Iterator[T], count: int, what: str) -> Iterator[T]:
    """The items, with a progress bar on standard error if that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(items, description=what, total=count, console=console, disable=not console.is_terminal)


def _format_value(value: object) -> str:
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
