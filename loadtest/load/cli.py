"""The open-loop commands: ``vqc-bench caption | stage-a | stage-b | mixed | engine``; heavy imports are inside functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from loadtest.load.options import Given, Rates, given

if TYPE_CHECKING:
    from loadtest.load.scenario import Scenario

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SLO = re.compile(r"(?:(?P<of>answer|first_object):)?p(?P<percent>\d{1,2}(?:\.\d+)?)=(?P<ms>\d+(?:\.\d+)?)")


class SloText(click.ParamType):
    """``p95=2000`` or ``first_object:p50=400``: share of the requests and milliseconds."""

    name = "[first_object:]pNN=MS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, object]:
        """As a scenario spells it."""
        found = _SLO.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} must be like p95=2000 or first_object:p50=400", param, ctx)
        return {"quantile": float(found["percent"]) / 100, "ms": float(found["ms"]), "of": found["of"] or "answer"}


def _rates(command: _Command) -> _Command:
    """The options that a scenario file has as keys."""
    for option in reversed(
        [
            click.option(
                "--rate", type=Rates(), default="1", show_default=True, help="Requests due per second, a step each."
            ),
            click.option("--seconds", type=float, default=30.0, show_default=True, help="Length of a step."),
            click.option("--arrivals", type=click.Choice(["poisson", "even"]), default="poisson", show_default=True),
            click.option("--slo", type=SloText(), help="What is fast enough, such as p95=2000 (milliseconds)."),
            click.option(
                "--find", is_flag=True, help="Find the highest rate that meets --slo, from the first --rate on."
            ),
            click.option("--width", type=int, default=1024, show_default=True, help="Photo width, pixels."),
            click.option("--height", type=int, default=768, show_default=True, help="Photo height, pixels."),
            click.option("--repeated", type=float, default=0.0, show_default=True, help="Share of photos sent before."),
            click.option("--timeout", "timeout_s", type=float, default=120.0, show_default=True, help="Seconds."),
            click.option("--seed", type=int, default=17, show_default=True, help="Of the arrivals."),
        ]
    ):
        command = option(command)
    return command


@click.command()
@click.option("--body", type=click.Choice(["multipart", "json", "sse"]), default="multipart", show_default=True)
@click.option("--max-new-tokens", type=int, default=256, show_default=True, help="Most tokens of a caption.")
@_rates
@given
def caption(body: str, max_new_tokens: int, given: Given, **keys: object) -> None:
    """POST /caption at given rates, however fast the answers come; sse counts to the first object too."""
    _run(_scenario({"task": "caption", "body": body, "max_new_tokens": max_new_tokens}, keys), given)


@click.command("stage-a")
@click.option("--photos", type=int, default=1, show_default=True, help="Photos of a request.")
@click.option("--max-new-tokens", type=int, default=48, show_default=True, help="Most tokens of a line.")
@_rates
@given
def stage_a(photos: int, max_new_tokens: int, given: Given, **keys: object) -> None:
    """POST /stage-a at given rates."""
    _run(_scenario({"task": "stage-a", "photos": photos, "max_new_tokens": max_new_tokens}, keys), given)


@click.command("stage-b")
@click.option("--photos", type=int, default=3, show_default=True, help="Photos of a ticket.")
@click.option("--lines", type=click.Choice(["written", "given"]), default="written", show_default=True)
@click.option("--evidence", type=click.Choice(["summaries", "images", "both"]), default="summaries", show_default=True)
@_rates
@given
def stage_b(photos: int, lines: str, evidence: str, given: Given, **keys: object) -> None:
    """POST /stage-b/groups at given rates, each ticket followed to its verdict; Redis and a worker are started too."""
    _run(_scenario({"task": "stage-b", "photos": photos, "lines": lines, "evidence": evidence}, keys), given)


@click.command()
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@given
def mixed(scenario: Path, given: Given) -> None:
    """Whatever mix a scenario file describes (loadtest/scenarios/*.yaml)."""
    from loadtest.load.scenario import read_scenario

    _run(read_scenario(scenario), given)


@click.command()
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as-it-comes", is_flag=True, help="vLLM's own defaults, not the flags of our hardware profile.")
@click.option("--free", is_flag=True, help="Without the grammar.")
@click.option("--served-name", default="vqc", show_default=True, help="The model's name at --url.")
@given
def engine(scenario: Path, as_it_comes: bool, free: bool, served_name: str, given: Given) -> None:
    """A scenario's load straight to vLLM, without us: the baseline. --url, or --model to start one."""
    from loadtest.load.scenario import read_scenario

    _run(read_scenario(scenario), given.raw(served_name=served_name, as_it_comes=as_it_comes, constrained=not free))


def _scenario(load: dict[str, object], keys: dict[str, Any]) -> Scenario:
    """The scenario of one kind of request. Raises ``InvalidValue``."""
    from loadtest.load.scenario import scenario_of

    photos = {name: keys.pop(name) for name in ("width", "height", "repeated")}
    rates, slo = keys.pop("rate"), keys.pop("slo")
    return scenario_of({"photos": photos, "mix": [{**load, "slo": slo}], "rates_per_s": rates, **keys}, "options")


def _run(scenario: Scenario, given: Given) -> None:
    """Measures, prints, draws. Errors make the exit code 1."""
    from loadtest.load.measure import measured
    from loadtest.load.report import print_report

    report = measured(scenario, given)
    print_report(report, as_document=given.as_document)
    if given.plot is not None:
        from loadtest.load.plot import svg

        given.plot.write_text(svg(report, " + ".join(load.label for load in scenario.mix)), "utf-8")
    if report.problems:
        errors = sum(kind.errors for step in report.steps for kind in step.kinds)
        click.echo(f"vqc-bench: {errors} errors; the first: {report.problems[0]}", err=True)
        raise click.exceptions.Exit(1)
