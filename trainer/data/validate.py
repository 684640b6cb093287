"""Validates a data set before training: every record, every problem, and statistics of its contents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trainer.data.images import ImageRef, canonical_pixels, header_size_wh, image_root
from trainer.data.jsonl import JsonlIndex
from trainer.data.parse import read_record
from trainer.data.problems import DataError, RecordProblem, RecordRule, Severity
from trainer.data.records import ChatRecord, PhotoRecord, Record, Task, VerdictRecord
from vqc.errors import PhotoRejected
from vqc.geometry import SizeWH
from vqc.image import PhotoLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """Contents and problems of a data set.

    ``records`` counts lines, ``usable`` those without an error. ``categories`` counts objects by the first level of
    their description, ``kinds`` counts them by geometry, ``tasks`` counts records by the tasks they can train.
    """

    path: Path
    records: int = 0
    usable: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    problems: tuple[RecordProblem, ...] = ()

    @property
    def errors(self) -> tuple[RecordProblem, ...]:
        """The problems that prevent training."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[RecordProblem, ...]:
        """The problems that do not prevent training."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.WARNING)

    def raise_if_broken(self) -> None:
        """Raises an error if training cannot start.

        Raises:
            DataError: with every error of the report.
        """
        if self.errors:
            raise DataError(self.errors)

    def as_dict(self) -> dict[str, object]:
        """The report as JSON values."""
        return {
            "path": str(self.path),
            "records": self.records,
            "usable": self.usable,
            "tasks": dict(self.tasks.most_common()),
            "geometries": dict(self.kinds.most_common()),
            "categories": dict(self.categories.most_common()),
            "errors": [str(problem) for problem in self.errors],
            "warnings": [str(problem) for problem in self.warnings],
        }


def validate(
    path: Path,
    *,
    root: Path | None = None,
    summary_share: float = 0.0,
    limit: int | None = None,
    decode: bool = False,
    limits: PhotoLimits | None = None,
) -> DataReport:
    """The report of a JSONL file.

    With ``summary_share`` above 0 a missing summary is an error. Image headers are always read; ``decode`` also decodes
    every pixel, which finds truncated files.

    Raises:
        DataError: the file itself cannot be read or has no record.
    """
    root = root if root is not None else image_root(path)
    try:
        index = JsonlIndex(path, limit)
    except OSError as error:
        raise DataError(
            [RecordProblem(source=str(path), rule=RecordRule.JSON, message=f"cannot be read: {error}")]
        ) from error
    if not len(index):
        raise DataError([RecordProblem(source=str(path), rule=RecordRule.JSON, message="has no record")])
    usable, problems = 0, []
    tasks, kinds, categories = Counter[str](), Counter[str](), Counter[str]()
    for source, line in index:
        record, found = read_record(line, source, root)
        if record is not None:
            found = (
                *found,
                *_mode_problems(record, source, summary_share),
                *_image_problems(record, source, decode, limits or PhotoLimits()),
            )
        problems += found
        if record is None or any(problem.severity is Severity.ERROR for problem in found):
            continue
        usable += 1
        tasks.update(learnable(record))
        for item in record.objects or () if isinstance(record, PhotoRecord) else ():
            kinds[item.shape.kind.value] += 1
            categories[item.desc.split("/")[0]] += 1
    return DataReport(
        path=path,
        records=len(index),
        usable=usable,
        tasks=tasks,
        kinds=kinds,
        categories=categories,
        problems=tuple(problems),
    )


def learnable(record: Record) -> tuple[Task, ...]:
    """The tasks that a record can train."""
    match record:
        case VerdictRecord():
            return (Task.VERDICT,)
        case ChatRecord():
            return (Task.CHAT,)
        case PhotoRecord(task=Task() as task):
            return (task,)
        case PhotoRecord():
            dense = (Task.DENSE,) if record.objects is not None else ()
            return (*dense, Task.STAGE_A) if record.summary else dense


def images_of(record: Record) -> tuple[ImageRef, ...]:
    """The images of a record, in order."""
    return (record.image,) if isinstance(record, PhotoRecord) else record.images


def _mode_problems(record: Record, source: str, summary_share: float) -> Iterator[RecordProblem]:
    if isinstance(record, PhotoRecord) and record.task is None and summary_share > 0 and not record.summary:
        message = "the summary is empty; summary and mixed mode need one in every photo record"
        yield RecordProblem(source=source, rule=RecordRule.SUMMARY, message=message)


def _image_problems(record: Record, source: str, decode: bool, limits: PhotoLimits) -> Iterator[RecordProblem]:
    for ref in images_of(record):
        try:
            size_wh = canonical_pixels(ref, limits).size if decode else header_size_wh(ref, limits)
        except FileNotFoundError:
            yield RecordProblem(
                source=source, rule=RecordRule.IMAGE_MISSING, message=f"image {str(ref)!r} does not exist"
            )
        except PhotoRejected as error:
            yield RecordProblem(source=source, rule=RecordRule.IMAGE_UNREADABLE, message=str(error))
        except OSError as error:
            yield RecordProblem(source=source, rule=RecordRule.IMAGE_UNREADABLE, message=f"image {str(ref)!r}: {error}")
        else:
            if isinstance(record, PhotoRecord) and record.size_wh not in (None, size_wh):
                yield RecordProblem(source=source, rule=RecordRule.SIZE, message=_size_message(record.size_wh, size_wh))


def _size_message(labelled_wh: SizeWH | None, found_wh: SizeWH) -> str:
    assert labelled_wh is not None
    swapped = labelled_wh == found_wh[::-1]
    hint = "; the sides are swapped, as when the EXIF orientation of a photo was not applied" if swapped else ""
    record, image = ("{} × {}".format(*size_wh) for size_wh in (labelled_wh, found_wh))
    return f"the record says {record} px, the image has {image} px{hint}"
