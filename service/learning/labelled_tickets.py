"""Reads labelled tickets from JSON lines, one per ticket or one per photo. A bad line is rejected alone.

    {"mission": …, "group_id": …, "label": "pass", "per_image": {"image_1": …}}      a ticket; or "summaries": […]
    {"image_id": "审核通过/QC-0001/1", "summary": …}                                  a photo of a ticket

A photo's line may leave out ticket, label and mission if the folders in its id name them. The same ticket with another label is
another submission of it, so both are judged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from vqc.missions import Mission
from vqc.verdict import Verdict

LABELS = {
    "pass": Verdict.PASS,
    "通过": Verdict.PASS,
    "审核通过": Verdict.PASS,
    "fail": Verdict.FAIL,
    "不通过": Verdict.FAIL,
    "审核不通过": Verdict.FAIL,
}
"""The spellings of a label, in a line or as the name of a folder."""
_GROUP_ID = re.compile(r"QC-[A-Za-z]+-[0-9]{8}-[0-9]+")
_LAST_NUMBER = re.compile(r"([0-9]+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTicket:
    """One ticket of an input file. ``photos`` are names as written; ``place`` is ``file:line``.

    ``true_label`` is the correct label of a drawn ticket whose ``label`` may be wrong on purpose; only reports read it.
    """

    mission: Mission
    group_id: str
    summaries: tuple[str, ...]
    photos: tuple[str, ...] = ()
    label: Verdict | None = None
    true_label: Verdict | None = None
    place: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """The identity of the ticket in a run: a ticket that failed and was submitted again to pass is two."""
        return self.mission.name, self.group_id, str(self.label or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedLine:
    """A line without a usable ticket, and the reason."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """The tickets, in the order of their first lines, and the rejected lines."""

    tickets: tuple[LabelledTicket, ...]
    rejected: tuple[RejectedLine, ...]


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    mission: str | None = None
    group_id: str | None = None
    label: str | None = None
    true_label: str | None = None
    image_id: str | None = None
    summary: str | None = None
    per_image: dict[str, str] | None = None
    summaries: list[str] | None = None
    photos: list[str] | None = None
    images: list[str] | None = None


class _Unusable(Exception):
    """The reason for rejecting a line."""


def ingest(
    lines: Iterable[tuple[str, str]], missions: Mapping[str, Mission], mission: str | None = None
) -> IngestResult:
    """Reads the tickets of ``(place, line)`` pairs. ``mission`` applies to photos that name none.

    >>> from vqc.missions import missions
    >>> photo = '{"image_id": "审核不通过/QC-0001/%d", "summary": "无关图片"}'
    >>> read = ingest([("a:1", photo % 1), ("a:2", photo % 2), ("a:3", "{")], missions(), "挡风板安装检查")
    >>> [(one.group_id, len(one.summaries), str(one.label)) for one in read.tickets], read.rejected[0].place
    ([('QC-0001', 2, '不通过')], 'a:3')
    """
    found: dict[tuple[str, str, str], LabelledTicket] = {}
    # Tickets that photo lines make: only these may grow. Two whole tickets of one key are a mistake, and so is a mixture.
    by_photo: set[tuple[str, str, str]] = set()
    rejected: list[RejectedLine] = []
    for place, text in lines:
        if not text.strip():
            continue
        try:
            line = _Line.model_validate_json(text)
            _reject_repeated_keys(text)
            is_photo = line.image_id is not None
            record = _photo(line, place, missions, mission) if is_photo else _ticket(line, place, missions)
            _check_label(record, found)
            before = found.get(record.key)
            if before is not None and not (is_photo and record.key in by_photo):
                raise _Unusable(f"group_id: {record.group_id!r} is already at {before.place}")
            found[record.key] = _with_photo(before, record) if before else record
            if is_photo:
                by_photo.add(record.key)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            rejected.append(RejectedLine(place=place, reason=f"{where}: {first['msg']}" if where else first["msg"]))
        except _Unusable as error:
            rejected.append(RejectedLine(place=place, reason=str(error)))
    return IngestResult(tickets=tuple(found.values()), rejected=tuple(rejected))


def _reject_repeated_keys(text: str) -> None:
    """JSON lets the last of two equal keys win, so that a photo would vanish."""

    def check(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise _Unusable(f"{twice}: stands twice in the line")
        return dict(pairs)

    json.loads(text, object_pairs_hook=check)


def _check_label(record: LabelledTicket, found: Mapping[tuple[str, str, str], LabelledTicket]) -> None:
    """A line without a label could be of either submission, so a ticket has lines with labels or without, not both."""
    for label in Verdict if record.label is None else (None,):
        other = found.get((record.mission.name, record.group_id, str(label or "")))
        if other is not None:
            raise _Unusable(f"label: {_label_text(record.label)} contradicts {_label_text(label)} at {other.place}")


def _with_photo(first: LabelledTicket, photo: LabelledTicket) -> LabelledTicket:
    """A ticket with one more photo."""
    if photo.photos[0] in first.photos:
        raise _Unusable(f"image_id: {photo.photos[0]!r} is already a photo of the ticket at {first.place}")
    return replace(first, summaries=(*first.summaries, *photo.summaries), photos=(*first.photos, *photo.photos))


def _ticket(line: _Line, place: str, missions: Mapping[str, Mission]) -> LabelledTicket:
    if not line.group_id:
        raise _Unusable("group_id: missing (the line of a photo has an image_id instead)")
    if line.per_image is not None:
        summaries = _by_number(line.per_image)
    elif line.summaries is not None:
        summaries = tuple(line.summaries)
    else:
        raise _Unusable('per_image: missing; give {"image_1": line, …}, or summaries: [line, …]')
    if not summaries:
        raise _Unusable("per_image: must have at least one photo")
    photos = tuple(line.photos or line.images or ())
    if photos and len(photos) != len(summaries):
        raise _Unusable(f"photos: {len(photos)} names for {len(summaries)} lines; the numbers must be equal")
    if twice := next((name for name in photos if photos.count(name) > 1), None):
        raise _Unusable(f"photos: {twice!r} stands twice")
    return LabelledTicket(
        mission=_mission(line.mission, missions),
        group_id=line.group_id,
        summaries=summaries,
        photos=photos,
        label=_label(line.label, "label"),
        true_label=_label(line.true_label, "true_label"),
        place=place,
    )


def _photo(line: _Line, place: str, missions: Mapping[str, Mission], mission: str | None) -> LabelledTicket:
    assert line.image_id is not None
    if line.summary is None:
        raise _Unusable("summary: missing; give the Stage-A line of the photo")
    path = PurePosixPath(line.image_id)
    folders = path.parts[:-1]
    mission_folder = next((part for part in folders if part in missions), None)
    label_folder = next((part for part in folders if part in LABELS), None)
    other_folders = [part for part in folders if part not in LABELS and part not in missions]
    # A ticket id in the file name wins over the folder: flat exports put photos of many tickets into one folder.
    id_in_name = _GROUP_ID.match(path.name)
    group_id = line.group_id or (id_in_name[0] if id_in_name else other_folders[-1] if other_folders else None)
    if group_id is None:
        raise _Unusable(f"image_id: {line.image_id!r} names no ticket; write folder/photo, or add a group_id")
    return LabelledTicket(
        mission=_mission(line.mission or mission_folder or mission, missions),
        group_id=group_id,
        summaries=(line.summary,),
        photos=(line.image_id,),
        label=_label(line.label or label_folder, "label"),
        true_label=_label(line.true_label, "true_label"),
        place=place,
    )


def _mission(name: str | None, missions: Mapping[str, Mission]) -> Mission:
    if name is None:
        raise _Unusable("mission: missing; add it to the line, or set `mission` in the configuration")
    if name not in missions:
        raise _Unusable(f"mission: {name!r} is unknown; known: {', '.join(missions)}")
    return missions[name]


def _label(text: str | None, name: str) -> Verdict | None:
    if text is None or text.strip().lower() in LABELS:
        return None if text is None else LABELS[text.strip().lower()]
    raise _Unusable(f"{name}: {text!r} is not a label; valid: {', '.join(LABELS)}")


def _by_number(per_image: Mapping[str, str]) -> tuple[str, ...]:
    """The lines, ordered by the number at the end of their keys, or by position."""
    numbered: dict[int, str] = {}
    for position, (key, line) in enumerate(per_image.items(), start=1):
        number = _LAST_NUMBER.search(key)
        index = int(number[1]) if number else position
        if index in numbered:
            raise _Unusable(f"per_image: two photos have the number {index}")
        numbered[index] = line
    return tuple(line for _, line in sorted(numbered.items()))


def _label_text(label: Verdict | None) -> str:
    return "no label" if label is None else str(label)
