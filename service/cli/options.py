"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

import click

from service.platform.generation import Knobs

_F = TypeVar("_F", bound=Callable[..., Any])


def engine_options(command: _F) -> _F:
    """``--model``, ``--engine-url`` and ``--engine``, over the environment's settings."""
    command = click.option(
        "--engine", type=click.Choice(["managed", "external", "scripted"]), help="Which engine answers [VQC_ENGINE]."
    )(command)
    command = click.option("--engine-url", metavar="URL", help="A running vLLM to use [VQC_ENGINE_URL].")(command)
    return click.option(
        "--model",
        metavar="DIR|ALIAS",
        help="Checkpoint directory, or alias of VQC_REGISTRY, to start vLLM on [VQC_MODEL].",
    )(command)


def knob_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The generation knobs, gathered into the argument ``knobs``; ``chosen`` makes them values."""
    command = _gathered(command)
    command = click.option("--seed", type=int, help="Seed of sampling.")(command)
    command = click.option("--repetition-penalty", type=float, default=1.0, show_default=True)(command)
    command = click.option("--top-p", type=float, default=1.0, show_default=True)(command)
    command = click.option("--temperature", type=float, default=0.0, show_default=True, help="0 is greedy.")(command)
    return click.option("--max-new-tokens", type=int, help="Most tokens of an answer.")(command)


def chosen(knobs: dict[str, Any], max_new_tokens: int) -> Knobs:
    """The knobs as given, ``max_new_tokens`` where they leave it open. Raises ``InvalidValue``."""
    given = {name: value for name, value in knobs.items() if value is not None}
    return Knobs(**{"max_new_tokens": max_new_tokens, **given})


def _gathered(command: Callable[..., Any]) -> Callable[..., Any]:
    names = tuple(field.name for field in fields(Knobs))

    @wraps(command)
    def gathering(**given: Any) -> Any:
        return command(knobs={name: given.pop(name) for name in names}, **given)

    return gathering
