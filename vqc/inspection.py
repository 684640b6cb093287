"""An inspection: the missions and prompts of one industry, read from a directory. Immutable by digest.

    inspection.yaml   name, version, language, description, and the fixed words of answers
    missions.yaml     the checks: what a ticket must show, and the words that say so
    prompts.yaml      what the model is asked
    history.yaml      optional: how older checkpoints recorded its prompts

Owns the files' format and every rule that spans them. ``vqc.missions`` holds those that are active.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from vqc.answer_words import WORDS, AnswerWords, Language
from vqc.canonical_json import digest
from vqc.errors import InvalidValue
from vqc.mission import Mission, MissionDefinition
from vqc.prompt_texts import PromptTexts

HEADER, MISSIONS, PROMPTS, HISTORY = "inspection.yaml", "missions.yaml", "prompts.yaml", "history.yaml"
FILES = (HEADER, MISSIONS, PROMPTS, HISTORY)
MAX_FILE_BYTES = 2**20
MAX_MISSIONS = 200
"""Missions are labels of metrics, so their number is bounded."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
_Value = TypeVar("_Value")


class InspectionHeader(BaseModel):
    """The file ``inspection.yaml``. ``name`` identifies the inspection over its versions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Slug
    version: int = Field(ge=1)
    language: Language
    description: str = Field(default="", max_length=500)
    words: AnswerWords | None = Field(
        default=None, description="The fixed words of answers; default: the language's own."
    )

    @property
    def answer_words(self) -> AnswerWords:
        """The fixed words of answers: its own, else those of its language."""
        return self.words or WORDS[self.language]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspection:
    """What an operator inspects, and how the model is asked.

    ``missions`` are by name, in the file's order. ``history`` maps the digest under which older checkpoints recorded prompts
    and missions as one part to the parts of today (``vqc.contract``). ``directory`` is where it was read.
    """

    header: InspectionHeader
    missions: Mapping[str, Mission]
    prompts: PromptTexts
    history: Mapping[str | None, Mapping[str, str]]
    directory: Path | None = None

    @property
    def name(self) -> str:
        """The name in ``inspection.yaml``."""
        return self.header.name

    @property
    def words(self) -> AnswerWords:
        """The fixed words of its answers."""
        return self.header.answer_words

    @property
    def record(self) -> dict[str, object]:
        """Everything in it, as JSON values."""
        return {
            **self.header.model_dump(mode="json"),
            "missions": [mission.model_dump(mode="json") for mission in self.missions.values()],
            "prompts": self.prompts.model_dump(mode="json"),
        }

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything in it."""
        return digest(self.record)


def load_inspection(directory: Path) -> Inspection:
    """The inspection in a directory.

    >>> from vqc.missions import SHIPPED
    >>> load_inspection(SHIPPED / "telecom").name
    'telecom'

    Raises:
        InvalidValue: a file that is missing, too large, outside the directory or not YAML, or a field that is not valid;
            the message names file and field, and the nearest valid key for an unknown one.
    """
    header = _read_model(directory, HEADER, InspectionHeader)
    prompts = _read_model(directory, PROMPTS, PromptTexts)
    source = directory / MISSIONS
    missions = parse_missions(_read_text(directory, MISSIONS), str(source), header, prompts)
    history: dict[str | None, Mapping[str, str]] = {}
    if (directory / HISTORY).exists():
        past = _parse_yaml(_read_text(directory, HISTORY), str(directory / HISTORY))
        history |= _validate(TypeAdapter(dict[str, dict[str, str]]), past, str(directory / HISTORY))
    return Inspection(header=header, missions=missions, prompts=prompts, history=history, directory=directory)


def parse_missions(text: str, source: str, header: InspectionHeader, prompts: PromptTexts) -> dict[str, Mission]:
    """The missions of a YAML text by name, asked and answered as the inspection of ``header`` and ``prompts`` is.

    Raises ``InvalidValue``, which names ``source`` and the field.
    """
    found = _validate(TypeAdapter(list[MissionDefinition]), _parse_yaml(text, source), source)
    if not 1 <= len(found) <= MAX_MISSIONS:
        raise InvalidValue(source, f"{len(found)} missions", f"must be 1 to {MAX_MISSIONS}")
    names = [mission.name for mission in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidValue(f"{source}: name", name, "must name one mission only")
    words, language = header.answer_words, header.language
    return {one.name: Mission(**dict(one), prompts=prompts, words=words, language=language) for one in found}


def _read_model(directory: Path, name: str, model: type[BaseModel]) -> Any:
    source = str(directory / name)
    return _validate(TypeAdapter(model), _parse_yaml(_read_text(directory, name), source), source)


def _read_text(directory: Path, name: str) -> str:
    path = directory / name
    try:
        if not path.resolve().is_relative_to(directory.resolve()):
            raise InvalidValue(str(path), str(path.resolve()), "must be a file inside the inspection's directory")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidValue(str(path), f"{path.stat().st_size} bytes", f"must be at most {MAX_FILE_BYTES} bytes")
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        valid = f"must be a readable UTF-8 YAML file; an inspection has {HEADER}, {MISSIONS} and {PROMPTS}"
        raise InvalidValue(str(path), type(error).__name__, valid) from error


def _parse_yaml(text: str, source: str) -> object:
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidValue(source, text[:40], f"must be YAML: {' '.join(str(error).split())}") from error


class _Loader(yaml.SafeLoader):
    """YAML without anchors, which could name themselves, and without keys that replace an earlier one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"an alias (*{self.peek_event().anchor}) is not supported; write the text out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"the key {key!r} stands twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def _validate(adapter: TypeAdapter[_Value], value: object, source: str) -> _Value:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        problems = error.errors()
        # A misspelt key is also a missing one; the misspelling is what the reader can see.
        first = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        valid = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = _fields_at(adapter.json_schema(), first["loc"][:-1])
            nearest = get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0)
            valid = f"unknown key; nearest: {nearest[0]}"
        raise InvalidValue(f"{source}: {field}", first["input"], valid) from error


def _fields_at(schema: Mapping[str, Any], place: tuple[int | str, ...]) -> list[str]:
    """The keys that the object at ``place`` may have, by its JSON schema."""
    definitions, here = schema.get("$defs", {}), schema
    for part in place:
        here = here["items"] if isinstance(part, int) else here["properties"][part]
        if "$ref" in here:
            here = definitions[here["$ref"].rpartition("/")[2]]
    return list(here["properties"])
