"""The options that every open-loop command has: the server, the number of generators, the output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from vqc.cores import usable_cores


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """The options' values. ``engine_args`` go to the vLLM that serves ``model``; ``served_name`` is set for raw vLLM."""

    url: str | None
    pid: int | None
    api_key: str | None
    model: Path | None
    random_weights: bool
    engine_args: tuple[str, ...]
    processes: int
    plot: Path | None
    as_document: bool
    served_name: str | None = None
    as_it_comes: bool = False
    constrained: bool = True

    def for_vllm(self, *, served_name: str, as_it_comes: bool, constrained: bool) -> LoadOptions:
        """The same options for raw vLLM."""
        if self.url is None and self.model is None:
            raise click.UsageError("give --url of a running vLLM, or --model to start one")
        return replace(self, served_name=served_name, as_it_comes=as_it_comes, constrained=constrained)

    @property
    def extra_args(self) -> tuple[str, ...]:
        """vLLM's flags besides those of the profile."""
        return (*(("--load-format", "dummy") if self.random_weights else ()), *self.engine_args)


class Rates(click.ParamType):
    """Positive numbers separated by commas."""

    name = "R,R,…"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """The numbers, in their order."""
        try:
            rates = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            rates = ()
        if not rates or not all(0 < rate < float("inf") for rate in rates):
            self.fail(f"{value!r} must be numbers above 0, separated by commas, such as 1,2.5,4", param, ctx)
        return rates


def load_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options to a command, which receives them as ``options``."""

    @wraps(command)
    def with_options(**arguments: Any) -> None:
        own = {name: arguments.pop(name) for name in _NAMES}
        if own["url"] is None and (own["pid"] or own["api_key"]):
            raise click.UsageError("--pid and --api-key describe the server of --url; give that too")
        if own["url"] is not None and own["model"] is not None:
            raise click.UsageError("--url is a server that runs already, --model starts one: give one of them")
        own["engine_args"] = tuple(own["engine_args"].split())
        command(options=LoadOptions(**own), **arguments)

    decorated: Callable[..., None] = with_options
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


_OPTIONS = [
    click.option("--url", metavar="URL", help="A running server: http://host:port or unix:///path."),
    click.option("--pid", type=click.IntRange(1), help="Process id of --url's server, for its CPU and memory."),
    click.option("--api-key", metavar="KEY", help="Key for --url's server."),
    click.option(
        "--model",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Serve this checkpoint. Without --model and --url: our service on the scripted engine.",
    ),
    click.option(
        "--random-weights",
        is_flag=True,
        help="The checkpoint has no weights (vqc-bench dummy): vLLM makes random ones.",
    ),
    click.option("--engine-args", default="", help="More vLLM flags, separated by spaces."),
    click.option(
        "--processes",
        type=click.IntRange(1, 64),
        default=max(1, usable_cores() // 4),
        show_default=True,
        help="Load generator processes.",
    ),
    click.option(
        "--plot", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Draw the result (SVG)."
    ),
    click.option("--json", "as_document", is_flag=True, help="Print one JSON document."),
]
_NAMES = ("url", "pid", "api_key", "model", "random_weights", "engine_args", "processes", "plot", "as_document")
