"""The commands ``vqc-bench pair`` and ``vqc-bench dummy``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from loadtest.suites.pair import PairReport

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_TASKS = ("caption", "caption-sse", "stage-a", "stage-b")


@click.command()
@click.option("--model", type=_DIRECTORY, required=True, help="The checkpoint that vLLM serves.")
@click.option("--random-weights", is_flag=True, help="The checkpoint has no weights (vqc-bench dummy).")
@click.option("--engine-args", default="", help="Further vLLM flags, separated by spaces.")
@click.option(
    "--task", "tasks", type=click.Choice(_TASKS), multiple=True, default=("caption", "stage-a"), show_default=True
)
@click.option("--clients", default="1,16,64,240", show_default=True, help="Clients at once, a level each.")
@click.option(
    "--seconds", type=click.FloatRange(0.5, 3600), default=20.0, show_default=True, help="Length of a window."
)
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Pairs of windows of a level."
)
@click.option("--max-new-tokens", type=int, help="Most tokens of an answer [caption 256, Stage-A 48, Stage-B 128].")
@click.option("--width", type=int, default=1024, show_default=True, help="Photo width, pixels.")
@click.option("--height", type=int, default=768, show_default=True, help="Photo height, pixels.")
@click.option("--free", is_flag=True, help="Compare raw vLLM with our grammar with raw vLLM without one.")
@click.option(
    "--budget", type=float, default=86_400.0, help="Most seconds for everything; what does not fit is left out."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document.")
def pair(
    model: Path,
    random_weights: bool,
    engine_args: str,
    tasks: tuple[str, ...],
    clients: str,
    seconds: float,
    rounds: int,
    max_new_tokens: int | None,
    width: int,
    height: int,
    free: bool,
    budget: float,
    as_document: bool,
) -> None:
    """Our service and the vLLM behind it in turns, the same requests to both: throughput ratio and added latency.

    Closed loop: each client asks again as soon as it is answered. Any error makes the exit code 1.
    """
    from rich.console import Console

    from engine.profile import EngineSettings
    from loadtest.load.payloads import supply_of
    from loadtest.load.scenario import scenario_of
    from loadtest.loop import run
    from loadtest.suites.pair import PairPlan, compare
    from loadtest.targets.service import raw_engine

    began = perf_counter()
    mix = [_load(task, max_new_tokens) for task in tasks]
    scenario = scenario_of({"mix": mix, "photos": {"width": width, "height": height}}, "options")
    plan = PairPlan(
        loads=scenario.mix,
        clients=_counts(clients),
        seconds=seconds,
        rounds=rounds,
        photos=scenario.photos,
        timeout_s=300.0,
        malformed_too=not random_weights,
        sides="free" if free else "ours",
    )
    extra = (*(("--load-format", "dummy") if random_weights else ()), *engine_args.split())
    settings = EngineSettings(model=model, max_model_len=8192, extra_args=extra)
    with Console(stderr=True).status("drawing photos") as status:

        async def work() -> PairReport:
            supply = supply_of(scenario.photos, os.urandom(4).hex())
            status.update("starting vLLM")
            async with raw_engine(settings) as engine:
                left = replace(plan, budget_s=began + budget - perf_counter())
                return await compare(engine, settings.served_name, left, supply, status.update)

        report = run(work())
    _print(report, free, as_document)
    if report.problems or not report.rows:
        click.echo(f"vqc-bench: {report.problems[0] if report.problems else 'no time for a pair'}", err=True)
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("size", type=click.Choice(["2b", "4b", "8b"]))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "source",
    type=_DIRECTORY,
    default=Path("deploy/demo/model"),
    show_default=True,
    help="Qwen3-VL directory whose tokenizer, processor and chat template are taken.",
)
def dummy(size: str, out: Path, source: Path) -> None:
    """Write a Qwen3-VL checkpoint of real size without weights, for --random-weights: speed and memory, no sense."""
    from loadtest.targets.dummy_checkpoint import write_dummy_checkpoint

    click.echo(write_dummy_checkpoint(source, out, size))


def _load(task: str, max_new_tokens: int | None) -> dict[str, object]:
    tokens = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
    if task.startswith("caption"):
        return {"task": "caption", "body": "sse" if task == "caption-sse" else "multipart", **tokens}
    return {"task": task, **({"lines": "given"} if task == "stage-b" else {}), **tokens}


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise click.BadParameter(f"{text!r} must be whole numbers from 1, separated by commas", param_hint="--clients")
    return counts


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"


def _print(report: PairReport, free: bool, as_document: bool) -> None:
    import json
    from dataclasses import asdict

    if as_document:
        click.echo(json.dumps(asdict(report), indent=2, ensure_ascii=False))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    ours, raw = ("grammar", "free") if free else ("ours", "raw")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    headings = ["request", "clients", "pairs", f"{ours}/s", f"{raw}/s", "ratio", "lowest", "highest", "token ratio"]
    headings += [f"{ours} p50", f"{raw} p50", "+ ms", f"{ours} p99", f"{raw} p99", "answers", "errors", "unread"]
    for n, heading in enumerate(headings):
        table.add_column(heading, justify="left" if n == 0 else "right", no_wrap=True)
    for row in report.rows:
        one, other = row.ours, row.raw
        assert one is not None  # both sides were asked
        assert row.spread is not None
        values = [row.clients, row.pairs, one.per_s, other.per_s, row.ratio, *row.spread, row.token_ratio]
        values += [
            one.p50_ms,
            other.p50_ms,
            row.overhead_ms,
            one.p99_ms,
            other.p99_ms,
            row.answers,
            row.errors,
            row.malformed,
        ]
        table.add_row(row.label, *(_shown(value) for value in values))
    console = Console()
    console.width = max(console.width, 160)
    console.print(table)
