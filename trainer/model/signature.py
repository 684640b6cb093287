"""Gives a method a wider signature, for libraries that inspect it before they call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def with_arguments_of(other: Callable[..., Any]) -> Callable[[F], F]:
    """Decorates a method that takes ``**inputs``: its signature also lists the arguments of ``other``."""

    def decorate(method: F) -> F:
        *named, rest = (own := inspect.signature(method).parameters).values()
        more = [
            parameter.replace(kind=parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(other).parameters.values()
            if parameter.name not in own and parameter.kind is not parameter.VAR_KEYWORD
        ]
        method.__signature__ = inspect.Signature([*named, *more, rest])  # type: ignore[attr-defined]
        return method

    return decorate
