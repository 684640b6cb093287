"""Converts a configuration file of this trainer to ms-swift's, or the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from trainer.config import ConfigError, config_from, load_config
from trainer.config.files import parse_yaml
from trainer.convert.from_swift import from_swift
from trainer.convert.result import Conversion
from trainer.convert.to_swift import to_swift
from vqc.errors import InvalidValue

_SECTIONS = (
    "model",
    "template",
    "tuner",
    "training",
    "custom",
)  # not deepspeed, which may be a mapping in ms-swift's files too


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedFile:
    """A converted file. ``problems`` must be fixed by hand before this trainer can load the result."""

    to: Literal["vqc", "ms-swift"]
    conversion: Conversion
    problems: tuple[str, ...]

    @property
    def text(self) -> str:
        """The converted configuration as YAML."""
        return yaml.safe_dump(self.conversion.tree, allow_unicode=True, sort_keys=False, width=120)

    def as_dict(self) -> dict[str, object]:
        """The result as JSON values."""
        lost = [{"key": item.key, "value": item.value, "why": item.why} for item in self.conversion.lost]
        return {"to": self.to, "config": self.conversion.tree, "lost": lost, "problems": list(self.problems)}


def convert(path: Path, *, swift_version: Literal[3, 4] = 4) -> ConvertedFile:
    """Converts a file of sections (ours) to ms-swift's flat arguments, or flat arguments (YAML, ``args.json``) to ours.

    Raises:
        ConfigError: the file is ours but not valid.
        InvalidValue: the file is not a mapping in YAML or JSON.
    """
    try:
        tree: object = parse_yaml(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidValue("source", str(path), f"is neither YAML nor JSON: {error}") from error
    if not isinstance(tree, Mapping):
        raise InvalidValue("source", str(path), "must be a mapping of keys")
    if {"extends", "inherit"} & tree.keys() or any(isinstance(tree.get(name), Mapping) for name in _SECTIONS):
        return ConvertedFile(to="ms-swift", conversion=to_swift(load_config(path), version=swift_version), problems=())
    conversion = from_swift({str(key): value for key, value in tree.items()})
    try:
        config_from(conversion.tree)
    except ConfigError as error:
        return ConvertedFile(
            to="vqc", conversion=conversion, problems=tuple(str(problem) for problem in error.problems)
        )
    return ConvertedFile(to="vqc", conversion=conversion, problems=())
