"""Every key of the configuration, for the table in the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args, get_origin

from pydantic import BaseModel

from trainer.config.augmentation import AugmentationSection
from trainer.config.root import TrainConfig
from trainer.config.section import models_in


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDoc:
    """One key: dotted path, type in words, default as text (``required`` when there is none) and description."""

    key: str
    type: str
    default: str
    description: str


def documented_keys() -> tuple[KeyDoc, ...]:
    """Every key of every section and every parameter of the augmentation operations, in the schema's order.

    >>> documented_keys()[0].key
    'global_max_length'
    """
    return tuple(_keys(TrainConfig, ""))


def _keys(model: type[BaseModel], prefix: str) -> Iterator[KeyDoc]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        below = models_in(field.annotation)
        if model is AugmentationSection and name == "ops":
            yield KeyDoc(key=key, type="list of operations", default="[]", description=field.description or "")
            for op in below:
                (op_name,) = get_args(op.model_fields["name"].annotation)
                for params in models_in(op.model_fields["params"].annotation):
                    yield from _keys(params, f"{key}[{op_name}].params.")
        elif below:
            yield from _keys(below[0], f"{key}.")
        else:
            default = "required" if field.is_required() else _text(field.get_default(call_default_factory=False))
            yield KeyDoc(key=key, type=_type(field.annotation), default=default, description=field.description or "")


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case tuple():
            return "[" + ", ".join(str(item) for item in value) + "]"
        case _:
            return str(value)


def _type(annotation: object) -> str:
    if annotation in (str, int, float, bool):
        return {str: "text", int: "integer", float: "number", bool: "true or false"}[annotation]  # type: ignore[index]
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " | ".join(f"`{value}`" for value in arguments)
    if get_origin(annotation) is tuple:
        return "list of " + _type(arguments[0])
    inner = [_type(argument) for argument in arguments if argument is not type(None) and isinstance(argument, object)]
    return inner[0] if inner else str(annotation)
