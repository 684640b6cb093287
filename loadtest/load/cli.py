"""The open-loop commands ``vqc-bench caption | stage-a | stage-b | mixed | engine``; heavy modules are imported on use."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from loadtest.load.options import LoadOptions, Rates, load_options

if TYPE_CHECKING:
    from loadtest.load.scenario import Scenario

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SLO = re.compile(r"(?:(?P<of>answer|first_object):)?p(?P<percent>\d{1,2}(?:\.\d+)?)=(?P<ms>\d+(?:\.\d+)?)")


class SloText(click.ParamType):
    """``p95=2000`` or ``first_object:p50=400``: a percentile and its milliseconds."""

    name = "[first_object:]pNN=MS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, object]:
        """The ``slo`` of a scenario."""
        match = _SLO.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} must be like p95=2000 or first_object:p50=400", param, ctx)
        return {"quantile": float(match["percent"]) / 100, "ms": float(match["ms"]), "of": match["of"] or "answer"}


def _rates(command: _Command) -> _Command:
    """Adds the options that are keys of a scenario file."""
    for option in reversed(
        [
            click.option(
                "--rate",
                type=Rates(),
                default="1",
                show_default=True,
                help="Requests due per second; one step per rate.",
            ),
            click.option("--seconds", type=float, default=30.0, show_default=True, help="Length of a step."),
            click.option("--arrivals", type=click.Choice(["poisson", "even"]), default="poisson", show_default=True),
            click.option("--slo", type=SloText(), help="The latency goal, such as p95=2000 (milliseconds)."),
            click.option(
                "--find", is_flag=True, help="Search for the highest rate that meets --slo, from the first --rate."
            ),
            click.option("--width", type=int, default=1024, show_default=True, help="Photo width, pixels."),
            click.option("--height", type=int, default=768, show_default=True, help="Photo height, pixels."),
            click.option("--repeated", type=float, default=0.0, show_default=True, help="Share of repeated photos."),
            click.option(
                "--timeout",
                "timeout_s",
                type=float,
                default=120.0,
                show_default=True,
                help="Limit per request, seconds.",
            ),
            click.option("--seed", type=int, default=17, show_default=True, help="Seed of the arrivals."),
        ]
    ):
        command = option(command)
    return command


@click.command()
@click.option("--body", type=click.Choice(["multipart", "json", "sse"]), default="multipart", show_default=True)
@click.option("--max-new-tokens", type=int, default=256, show_default=True, help="Token limit of a caption.")
@_rates
@load_options
def caption(body: str, max_new_tokens: int, options: LoadOptions, **keys: object) -> None:
    """POST /caption at fixed rates, however slow the answers are; sse also measures the time to the first object."""
    _run(_scenario({"task": "caption", "body": body, "max_new_tokens": max_new_tokens}, keys), options)


@click.command("stage-a")
@click.option("--photos", type=int, default=1, show_default=True, help="Photos per request.")
@click.option("--max-new-tokens", type=int, default=48, show_default=True, help="Token limit of a line.")
@_rates
@load_options
def stage_a(photos: int, max_new_tokens: int, options: LoadOptions, **keys: object) -> None:
    """POST /stage-a at fixed rates."""
    _run(_scenario({"task": "stage-a", "photos": photos, "max_new_tokens": max_new_tokens}, keys), options)


@click.command("stage-b")
@click.option("--photos", type=int, default=3, show_default=True, help="Photos per ticket.")
@click.option("--lines", type=click.Choice(["written", "given"]), default="written", show_default=True)
@click.option("--evidence", type=click.Choice(["summaries", "images", "both"]), default="summaries", show_default=True)
@_rates
@load_options
def stage_b(photos: int, lines: str, evidence: str, options: LoadOptions, **keys: object) -> None:
    """POST /stage-b/groups at fixed rates; each ticket is followed to its verdict. Starts Redis and a worker too."""
    _run(_scenario({"task": "stage-b", "photos": photos, "lines": lines, "evidence": evidence}, keys), options)


@click.command("mixed")
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@load_options
def mixed_load(scenario: Path, options: LoadOptions) -> None:
    """The mix of requests of a scenario file (loadtest/scenarios/*.yaml)."""
    from loadtest.load.scenario import read_scenario

    _run(read_scenario(scenario), options)


@click.command()
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as-it-comes", is_flag=True, help="vLLM's defaults instead of the flags of our hardware profile.")
@click.option("--free", is_flag=True, help="Without the grammar.")
@click.option("--served-name", default="vqc", show_default=True, help="The model's name at --url.")
@load_options
def engine(scenario: Path, as_it_comes: bool, free: bool, served_name: str, options: LoadOptions) -> None:
    """The baseline: a scenario's load sent directly to vLLM. Needs --url, or --model to start one."""
    from loadtest.load.scenario import read_scenario

    for_vllm = options.for_vllm(served_name=served_name, as_it_comes=as_it_comes, constrained=not free)
    _run(read_scenario(scenario), for_vllm)


def _scenario(load: dict[str, object], keys: dict[str, Any]) -> Scenario:
    """The scenario of one kind of request. Raises ``InvalidValue``."""
    from loadtest.load.scenario import scenario_of

    photos = {name: keys.pop(name) for name in ("width", "height", "repeated")}
    rates, slo = keys.pop("rate"), keys.pop("slo")
    return scenario_of({"photos": photos, "mix": [{**load, "slo": slo}], "rates_per_s": rates, **keys}, "options")


def _run(scenario: Scenario, options: LoadOptions) -> None:
    """Measures, prints and draws. Any error makes the exit code 1."""
    from loadtest.load.measure import measure_scenario
    from loadtest.load.report import print_report

    report = measure_scenario(scenario, options)
    print_report(report, as_document=options.as_document)
    if options.plot is not None:
        from loadtest.load.plot import svg

        options.plot.write_text(svg(report, " + ".join(load.label for load in scenario.mix)), "utf-8")
    if report.problems:
        errors = sum(kind.errors for step in report.steps for kind in step.kinds)
        click.echo(f"vqc-bench: {errors} errors; the first: {report.problems[0]}", err=True)
        raise click.exceptions.Exit(1)
