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
    """``--model``, ``--engine-url`` and ``--engine``, which take precedence over the environment."""
    command = click.option(
        "--engine", type=click.Choice(["managed", "external", "scripted"]), help="Kind of engine [VQC_ENGINE]."
    )(command)
    command = click.option("--engine-url", metavar="URL", help="URL of a running vLLM [VQC_ENGINE_URL].")(command)
    return click.option(
        "--model",
        metavar="DIR|ALIAS",
        help="Model to serve: a checkpoint directory, or an alias of VQC_REGISTRY [VQC_MODEL].",
    )(command)


def decoding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The decoding options, passed as one argument ``decoding``; ``decoding_params`` makes values of them."""
    command = _gather_decoding(command)
    command = click.option("--seed", type=int, help="Seed of sampling.")(command)
    command = click.option(
        "--repetition-penalty",
        type=float,
        default=1.0,
        show_default=True,
        help="Above 1 makes repeated tokens less likely.",
    )(command)
    command = click.option("--top-p", type=float, default=1.0, show_default=True, help="Nucleus sampling.")(command)
    command = click.option("--temperature", type=float, default=0.0, show_default=True, help="0 is greedy.")(command)
    return click.option("--max-new-tokens", type=int, help="Maximum length of an answer, in tokens.")(command)


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
