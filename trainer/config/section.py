"""The base model of every section (frozen, strict, no unknown keys), and the types that sections share."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A set of keys. Unknown keys and values of another type are errors; nothing is converted silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def models_in(annotation: object) -> list[type[BaseModel]]:
    """The pydantic models that a field's type consists of, such as the members of a union.

    >>> [model.__name__ for model in models_in(Section | None)]
    ['Section']
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def _as_tuple(value: object) -> object:
    """A YAML list as a tuple; a bare string as a tuple of one."""
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, str) else value


Strings = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
"""A list of strings; a bare string counts as a list of one."""

Range = Annotated[
    tuple[float, float],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
]
"""``[low, high]``, both included."""

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
