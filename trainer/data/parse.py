"""Parses one line of a data set into a record and reports every problem in it.

docs/training-data.md describes the format of the three kinds of record (photo, ticket, chat). The parser is total: it
never raises for a bad line. It does not open images; ``trainer.data.validate`` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeGuard

from trainer.data.images import ImageRef, image_ref
from trainer.data.messages import chat_turn
from trainer.data.problems import RecordProblem, RecordRule, Severity
from trainer.data.records import ChatRecord, PhotoRecord, Record, Task, VerdictRecord
from vqc import summary as stage_a
from vqc.answer_words import AnswerWords
from vqc.caption import MAX_OBJECTS, CaptionObject, checked_desc
from vqc.errors import InvalidValue, short_repr
from vqc.geometry import Kind, Shape, SizeWH
from vqc.missions import Mission, active, mission_named
from vqc.parser import Status
from vqc.verdict import Verdict, VerdictAnswer

_KNOWN = (
    "images", "image", "objects", "width", "height", "summary", "mission", "task", "summaries", "guidance", "verdict",
    "reason", "messages", "photos", "label", "true_label", "group_id",
)  # fmt: skip
_OBJECT_KEYS = ("bbox_2d", "quad", "line", "line_points", "desc")
_VERDICTS = {"通过": Verdict.PASS, "pass": Verdict.PASS, "不通过": Verdict.FAIL, "fail": Verdict.FAIL}


class _Broken(Exception):
    """A problem after which nothing else of the record can be read; the parser catches it."""

    def __init__(self, rule: RecordRule, message: str) -> None:
        self.rule = rule
        super().__init__(message)


def parse_record(line: bytes | str, source: str, root: Path) -> tuple[Record | None, tuple[RecordProblem, ...]]:
    """The record of one line and every problem in it; the record is None when one of them is an error.

    >>> print(*parse_record('{"images": ["a.jpg"]}', "d:1", Path("."))[1])
    d:1: objects: a photo record needs objects or a summary: there is nothing to learn from it
    """
    record, problems = read_record(line, source, root)
    broken = any(problem.severity is Severity.ERROR for problem in problems)
    return (None if broken else record), problems


def read_record(line: bytes | str, source: str, root: Path) -> tuple[Record | None, tuple[RecordProblem, ...]]:
    """As ``parse_record``, but the record holds everything that could be read, so that its images can be checked too."""
    problems: list[RecordProblem] = []
    reader = _RecordReader(source, root, problems)
    try:
        return reader.record(_mapping(line)), tuple(problems)
    except _Broken as error:
        reader.report(error.rule, str(error))
        return None, tuple(problems)


def _mapping(line: bytes | str) -> dict[str, object]:
    try:
        value = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _Broken(RecordRule.JSON, f"the line is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _Broken(RecordRule.JSON, f"a record is a JSON object, not {type(value).__name__}")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


class _RecordReader:
    """Reads the parts of one record and reports the problems of each."""

    def __init__(self, source: str, root: Path, problems: list[RecordProblem]) -> None:
        self._source, self._root, self._problems = source, root, problems

    def report(self, rule: RecordRule, message: str, severity: Severity = Severity.ERROR) -> None:
        self._problems.append(RecordProblem(source=self._source, rule=rule, message=message, severity=severity))

    def record(self, data: dict[str, object]) -> Record | None:
        self._check_names(data, _KNOWN, "")
        task = self._task(data)
        if task is Task.CHAT:
            return self._chat(data)
        return self._ticket(data) if task is Task.VERDICT else self._photo(data, task)

    def _task(self, data: dict[str, object]) -> Task | None:
        named = data.get("task")
        if named is None:
            return Task.CHAT if "messages" in data else Task.VERDICT if data.keys() & {"verdict", "label"} else None
        if named not in list(Task):
            raise _Broken(RecordRule.TASK, f"{named!r} is not a task; valid: {', '.join(Task)}")
        return Task(str(named))

    def _photo(self, data: dict[str, object], task: Task | None) -> PhotoRecord | None:
        images = self._images(data)
        if len(images) != 1 and not self._has_errors:
            self.report(RecordRule.IMAGES, f"a photo record needs exactly one image, not {len(images)}")
        size_wh = self._size(data)
        if task is Task.DENSE and "objects" not in data:
            self.report(
                RecordRule.OBJECTS, "a dense record needs objects (an empty list for a photo that shows nothing)"
            )
        objects = self._objects(data["objects"], size_wh) if data.get("objects") is not None else None
        mission = self._mission(data.get("mission"))
        summary = self._summary(data.get("summary"), mission.words if mission else active().inspections[0].words)
        if task is Task.STAGE_A and not summary:
            self.report(RecordRule.SUMMARY, "a stage_a record needs a summary")
        if objects is None and summary is None and not self._has_errors:
            self.report(
                RecordRule.OBJECTS, "a photo record needs objects or a summary: there is nothing to learn from it"
            )
        if not images:
            return None
        return PhotoRecord(
            image=images[0], size_wh=size_wh, objects=objects, summary=summary, mission=mission, task=task
        )

    def _ticket(self, data: dict[str, object]) -> VerdictRecord | None:
        images = self._images(data)
        summaries = data.get("summaries", [])
        if not isinstance(summaries, list) or not all(isinstance(line, str) and line.strip() for line in summaries):
            self.report(RecordRule.SUMMARY, f"summaries must be a list of non-empty lines, not {short_repr(summaries)}")
            summaries = []
        if not images and not summaries:
            self.report(RecordRule.VERDICT, "a ticket needs images, summaries or both")
        if data.get("mission") is None:
            self.report(RecordRule.MISSION, "a ticket needs a mission")
        mission = self._mission(data.get("mission"))
        guidance = data.get("guidance") or {}
        if not isinstance(guidance, dict) or not all(isinstance(rule, str) for rule in guidance.values()):
            self.report(RecordRule.VERDICT, f"guidance must map rule ids to rules, not {short_repr(guidance)}")
            guidance = {}
        answer = self._verdict(data, mission.words if mission else active().inspections[0].words)
        if mission is None or answer is None:
            return None
        return VerdictRecord(
            images=images, summaries=tuple(summaries), mission=mission, guidance=guidance, answer=answer
        )

    def _chat(self, data: dict[str, object]) -> ChatRecord | None:
        try:
            turn = chat_turn(data.get("messages"), data.get("images", ()))
            images = tuple(image_ref(value, self._root) for value in turn.images)
        except InvalidValue as error:
            raise _Broken(RecordRule.MESSAGES, str(error)) from error
        return ChatRecord(images=images, turn=turn)

    def _check_names(self, item: Mapping[str, object], known: tuple[str, ...], prefix: str) -> None:
        """Reports names that look like a misspelt known one; all others are the user's own and are ignored."""
        for name in item:
            if name not in known and (close := get_close_matches(name, known, n=1, cutoff=0.75)):
                self.report(RecordRule.FIELD, f"{prefix}unknown field {name!r}; did you mean {close[0]!r}?")

    @property
    def _has_errors(self) -> bool:
        return any(problem.severity is Severity.ERROR for problem in self._problems)

    def _images(self, data: dict[str, object]) -> tuple[ImageRef, ...]:
        values = data.get("images", data.get("photos", data.get("image", [])))
        values = values if isinstance(values, list) else [values]
        found = []
        for value in values:
            try:
                found.append(image_ref(value, self._root))
            except InvalidValue as error:
                self.report(RecordRule.IMAGES, str(error))
        return tuple(found)

    def _size(self, data: dict[str, object]) -> SizeWH | None:
        if data.get("objects") is None and "width" not in data and "height" not in data:
            return None
        width, height = data.get("width"), data.get("height")
        if _is_side(width) and _is_side(height):
            return width, height
        self.report(
            RecordRule.SIZE, f"width {width!r} and height {height!r} must be the image's size, whole px above 0"
        )
        return None

    def _objects(self, value: object, size_wh: SizeWH | None) -> tuple[CaptionObject, ...]:
        if not isinstance(value, list):
            self.report(RecordRule.OBJECTS, f"objects must be a list, not {type(value).__name__}")
            return ()
        if len(value) > MAX_OBJECTS:
            self.report(RecordRule.OBJECTS, f"{len(value)} objects; a caption holds at most {MAX_OBJECTS}")
        return tuple(found for n, item in enumerate(value, start=1) for found in self._object(item, n, size_wh))

    def _object(self, item: object, number: int, size_wh: SizeWH | None) -> Iterator[CaptionObject]:
        name = f"object {number}"
        if not isinstance(item, dict):
            self.report(RecordRule.OBJECTS, f"{name} is {short_repr(item)}, not a JSON object")
            return
        self._check_names(item, _OBJECT_KEYS, f"{name}: ")
        shape = self._shape(item, name, size_wh)
        try:
            desc = checked_desc(item.get("desc"))
        except InvalidValue as error:
            self.report(RecordRule.DESC, f"{name}: {error}")
            return
        if shape is not None:
            yield CaptionObject(shape=shape, desc=desc)

    def _shape(self, item: dict[str, object], name: str, size_wh: SizeWH | None) -> Shape | None:
        kinds = [kind for kind in Kind if item.get(kind) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none"
            self.report(RecordRule.GEOMETRY, f"{name} has {found}; exactly one of {', '.join(Kind)} is needed")
            return None
        xy = _flat_coordinates(item[kinds[0]])
        if xy is None:
            self.report(
                RecordRule.COORDINATES, f"{name}: {kinds[0]} is {short_repr(item[kinds[0]])}, not a list of numbers"
            )
            return None
        try:
            shape = Shape(kinds[0], xy)
        except InvalidValue as error:
            self.report(RecordRule.COORDINATES, f"{name}: {error}")
            return None
        points = item.get("line_points")
        if kinds[0] is Kind.LINE and points is not None and points != len(shape.points):
            self.report(
                RecordRule.LINE_POINTS, f"{name}: line_points is {points!r}, the line has {len(shape.points)} points"
            )
        self._check_place(shape, name, size_wh)
        return shape

    def _check_place(self, shape: Shape, name: str, size_wh: SizeWH | None) -> None:
        if size_wh is not None:
            width, height = size_wh
            outside = [(x, y) for x, y in shape.points if not (0 <= x <= width and 0 <= y <= height)]
            if outside:
                self.report(
                    RecordRule.BOUNDS, f"{name}: {shape.kind} point {outside[0]!r} is outside {width} × {height} px"
                )
        xs, ys = [x for x, _ in shape.points], [y for _, y in shape.points]
        flat = (max(xs) - min(xs), max(ys) - min(ys))
        if flat == (0, 0) or (shape.kind is not Kind.LINE and 0 in flat):
            self.report(
                RecordRule.DEGENERATE, f"{name}: {shape.kind} {list(shape.xy)!r} covers no area", Severity.WARNING
            )

    def _summary(self, value: object, words: AnswerWords) -> str | None:
        """The line in canonical spelling; None if the record has none or an empty one."""
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.report(RecordRule.SUMMARY, f"summary is {short_repr(value)}, not text")
            return None
        outcome = stage_a.parse(value, words)
        notes = "; ".join(outcome.notes)
        if outcome.summary is None or any(note.startswith("dropped") for note in outcome.notes):
            self.report(
                RecordRule.SUMMARY,
                f"summary {short_repr(value)} is not a line of 描述×数量 joined by {words.separator!r}: {notes}",
            )
            return None
        line = stage_a.render(outcome.summary, words)
        if outcome.status is Status.REPAIRED:
            self.report(
                RecordRule.SUMMARY, f"summary {short_repr(value)} is trained as {line!r}: {notes}", Severity.WARNING
            )
        return line

    def _mission(self, value: object) -> Mission | None:
        if value is None:
            return None
        try:
            return mission_named(str(value))
        except InvalidValue as error:
            self.report(RecordRule.MISSION, str(error))
            return None

    def _verdict(self, data: dict[str, object], words: AnswerWords) -> VerdictAnswer | None:
        label = data.get("verdict", data.get("label"))
        verdicts = _VERDICTS | dict.fromkeys(words.passed, Verdict.PASS) | dict.fromkeys(words.failed, Verdict.FAIL)
        verdict = verdicts.get(str(label))
        if verdict is None:
            self.report(RecordRule.VERDICT, f"verdict {label!r} is not valid; valid: {', '.join(verdicts)}")
            return None
        try:
            return VerdictAnswer(verdict=verdict, reason=str(data.get("reason") or ""))
        except InvalidValue as error:
            self.report(RecordRule.VERDICT, str(error))
            return None


def _flat_coordinates(value: object) -> tuple[float, ...] | None:
    """The coordinates as one tuple, from a flat list or a list of pairs; None when they are not numbers."""
    if not isinstance(value, list):
        return None
    pairs = [item for item in value if isinstance(item, list)]
    if pairs:
        if len(pairs) != len(value) or any(len(pair) != 2 for pair in pairs):
            return None
        value = [number for pair in pairs for number in pair]
    return tuple(value) if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value) else None


def _is_side(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
