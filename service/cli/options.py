"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


def engine_options(command: _F) -> _F:
    """``--model``, ``--engine-url`` and ``--engine``, over the environment's settings."""
    command = click.option(
        "--engine", type=click.Choice(["managed", "external", "scripted"]), help="Which engine answers [VQC_ENGINE]."
    )(command)
    command = click.option("--engine-url", metavar="URL", help="A running vLLM to use [VQC_ENGINE_URL].")(command)
    return click.option(
        "--model", type=click.Path(path_type=Path), help="Checkpoint directory to start vLLM on [VQC_MODEL]."
    )(command)


def knob_options(command: _F) -> _F:
    """The generation knobs."""
    command = click.option("--seed", type=int, help="Seed of sampling.")(command)
    command = click.option("--repetition-penalty", type=float, default=1.0, show_default=True)(command)
    command = click.option("--top-p", type=float, default=1.0, show_default=True)(command)
    command = click.option("--temperature", type=float, default=0.0, show_default=True, help="0 is greedy.")(command)
    return click.option("--max-new-tokens", type=int, help="Most tokens of an answer.")(command)
