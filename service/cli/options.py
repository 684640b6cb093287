"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

import click

from engine.protocol import DecodingParams

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


def decoding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The decoding options, passed as one argument ``decoding``; ``decoding_params`` makes values of them."""
    command = _gather_decoding(command)
    command = click.option("--seed", type=int, help="Seed of sampling.")(command)
    command = click.option("--repetition-penalty", type=float, default=1.0, show_default=True)(command)
    command = click.option("--top-p", type=float, default=1.0, show_default=True)(command)
    command = click.option("--temperature", type=float, default=0.0, show_default=True, help="0 is greedy.")(command)
    return click.option("--max-new-tokens", type=int, help="Most tokens of an answer.")(command)


def decoding_params(decoding: dict[str, Any], max_new_tokens: int) -> DecodingParams:
    """The options as given, with ``max_new_tokens`` as the default for theirs. Raises ``InvalidValue``."""
    given = {name: value for name, value in decoding.items() if value is not None}
    return DecodingParams(**{"max_new_tokens": max_new_tokens, **given})


def _gather_decoding(command: Callable[..., Any]) -> Callable[..., Any]:
    names = tuple(field.name for field in fields(DecodingParams))

    @wraps(command)
    def gathering(**given: Any) -> Any:
        return command(decoding={name: given.pop(name) for name in names}, **given)

    return gathering
