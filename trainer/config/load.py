"""Loads YAML files into a ``TrainConfig``, and writes one as resolved YAML."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from trainer.config.checks import findings
from trainer.config.errors import ConfigError, ConfigProblem
from trainer.config.files import KeyPath, Source, Tree, dotted_key, read_merged
from trainer.config.root import TrainConfig
from trainer.config.section import models_in
from vqc.errors import InvalidValue
from vqc.missions import activate

_EXPECTED = {
    "bool_type": "true or false",
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "finite_number": "a finite number",
}


def load_config(path: Path | str, base: Path | str | None = None) -> TrainConfig:
    """The configuration of a YAML file and everything it extends, merged over ``base`` when there is one.

    Raises:
        ConfigError: every problem, with its file, line, key and advice.
    """
    return config_from(read_merged(Path(path), Path(base) if base is not None else None))


def config_from(source: Source | Tree) -> TrainConfig:
    """The configuration of a merged mapping (schema names only, no ``extends``). Makes its inspections the active ones.

    Raises:
        ConfigError: as ``load_config``; without files, problems have no place.
    """
    source = source if isinstance(source, Source) else Source(tree=source)
    tree, problems = _with_length(source)
    if problems:
        raise ConfigError(problems)
    try:
        config = TrainConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError([_problem(source, tree, item) for item in error.errors(include_url=False)]) from None
    if config.custom.inspections:
        try:
            activate(config.custom.inspections)
        except InvalidValue as error:
            raise ConfigError([_problem_at(source, ("custom", "inspections"), str(error))]) from error
    problems = [_problem_at(source, tuple(key.split(".")), message) for key, message in findings(config)]
    if problems:
        raise ConfigError(problems)
    return config


def resolved_yaml(config: TrainConfig) -> str:
    """The configuration as one YAML text with every default filled in; loading it returns an equal configuration."""
    return yaml.safe_dump(
        _without_nulls(config.model_dump(mode="json")), allow_unicode=True, sort_keys=False, width=120
    )


def _with_length(source: Source) -> tuple[Tree, list[ConfigProblem]]:
    """The tree with ``template.max_length`` set from ``global_max_length``."""
    tree, limit = dict(source.tree), source.tree.get("global_max_length")
    template = tree.get("template", {})
    if limit is None or not isinstance(template, dict):
        return tree, []
    own = template.get("max_length", limit)
    if own != limit:
        message = f"{own!r} contradicts global_max_length {limit!r}, the only length setting; set it to null"
        return tree, [_problem_at(source, ("template", "max_length"), message)]
    tree["template"] = {**template, "max_length": limit}
    return tree, []


def _problem_at(source: Source, path: KeyPath, message: str) -> ConfigProblem:
    return ConfigProblem(where=source.where(path), key=dotted_key(path), message=message)


def _problem(source: Source, tree: Tree, error: ErrorDetails) -> ConfigProblem:
    path = _written_path(tree, error["loc"])
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    match kind:
        case "extra_forbidden":
            message = f"unknown key {path[-1]!r}; {_nearest(str(path[-1]), _keys_at(error['loc'][:-1]))}"
        case "missing":
            message = f"is required{_hint(path)}"
        case "union_tag_invalid":
            tags = [tag.strip().strip("'") for tag in str(context["expected_tags"]).split(",")]
            path = (*path, "name")
            message = f"unknown operation {str(context['tag'])!r}; {_nearest(str(context['tag']), tags)}"
        case "union_tag_not_found":
            message = f"{value!r} is not an operation; write {{name: …, params: {{…}}}}"
        case "literal_error":
            message = f"{value!r} is not valid; valid: {context['expected'].replace(' or ', ', ')}"
        case "value_error":
            message = str(context.get("error", error["msg"]))
        case _ if kind in _EXPECTED:
            message = f"{value!r} is not valid; must be {_EXPECTED[kind]}"
        case _:
            message = f"{value!r} is not valid; {error['msg'].removeprefix('Input ')}"
    return _problem_at(source, path, message)


def _hint(path: KeyPath) -> str:
    hints: dict[KeyPath, str] = {
        ("model",): ": model.model names the checkpoint",
        ("training",): ": training.output_dir names where checkpoints go",
        ("custom",): ": custom.train_jsonl names the training records",
    }
    return hints.get(path, "")


def _written_path(tree: Tree, location: KeyPath) -> KeyPath:
    """Pydantic's location without the union tags that it inserts, which no file contains."""
    node: Any = tree  # JSON of any shape
    path: list[str | int] = []
    for index, part in enumerate(location):
        if isinstance(node, dict) and part not in node and node.get("name") == part:
            continue
        if not isinstance(node, (dict, list, tuple)) and index:
            break
        path.append(part)
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, (list, tuple)) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            node = None
    return tuple(path)


def _keys_at(location: KeyPath) -> list[str]:
    """The keys of the section at a pydantic location."""
    models: list[type[BaseModel]] = [TrainConfig]
    for part in location:
        fields = [m.model_fields[part].annotation for m in models if isinstance(part, str) and part in m.model_fields]
        if fields:
            models = [model for annotation in fields for model in models_in(annotation)]
        elif isinstance(part, str):  # the tag of a union
            models = [m for m in models if part in get_args(m.model_fields["name"].annotation)]
    return [name for model in models for name in model.model_fields]


def _nearest(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"valid: {', '.join(sorted(known))}"


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
