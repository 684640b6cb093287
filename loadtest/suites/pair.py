"""``vqc-bench pair``: our service and the vLLM behind it get the same requests, alternately; the difference is our overhead.

One engine serves both sides, and every photo is new to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Literal

import click

from engine.client import VllmClient
from engine.profile import EngineSettings
from loadtest.counts import Counts
from loadtest.load.engine_metrics import TOKENS, metric_totals
from loadtest.load.pairs import PairMeasurement, PairPlan, PairReport, PairRow, Side, Tokens
from loadtest.load.payloads import Payloads, draw_payloads
from loadtest.load.scenario import Load, scenario_of
from loadtest.load.workers import Backend
from loadtest.loop import run
from loadtest.report import cell, table
from loadtest.targets.server import RunningServer
from loadtest.targets.service import in_front_of, our_service, raw_engine

Sides = Literal["ours", "free", "raw"]
"""Our service against raw vLLM; raw vLLM with our grammar against raw vLLM without one; raw vLLM alone."""

_TASKS = ("caption", "caption-sse", "stage-a", "stage-b")
_MAX_MODEL_LEN = 8192
_TIMEOUT_S = 300.0


@click.command()
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The checkpoint that vLLM serves.",
)
@click.option("--random-weights", is_flag=True, help="The checkpoint has no weights (vqc-bench dummy).")
@click.option("--engine-args", default="", help="More vLLM flags, separated by spaces.")
@click.option(
    "--task", "tasks", type=click.Choice(_TASKS), multiple=True, default=("caption", "stage-a"), show_default=True
)
@click.option(
    "--clients", type=Counts(), default="1,16,64,240", show_default=True, help="Concurrent clients, per level."
)
@click.option(
    "--seconds", type=click.FloatRange(0.5, 3600), default=20.0, show_default=True, help="Length of a window."
)
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Pairs of windows per level.")
@click.option("--max-new-tokens", type=int, help="Token limit of an answer [caption 256, Stage-A 48, Stage-B 128].")
@click.option("--width", type=int, default=1024, show_default=True, help="Photo width, pixels.")
@click.option("--height", type=int, default=768, show_default=True, help="Photo height, pixels.")
@click.option("--free", is_flag=True, help="Compare raw vLLM with our grammar and raw vLLM without one.")
@click.option(
    "--budget", type=float, default=86_400.0, help="Time limit for everything, seconds; what does not fit is left out."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document.")
def pair(
    model: Path,
    random_weights: bool,
    engine_args: str,
    tasks: tuple[str, ...],
    clients: tuple[int, ...],
    seconds: float,
    rounds: int,
    max_new_tokens: int | None,
    width: int,
    height: int,
    free: bool,
    budget: float,
    as_document: bool,
) -> None:
    """Our service and the vLLM behind it, alternately, with the same requests: throughput ratio and added latency.

    Closed loop: each client sends its next request when it has its answer. Any error makes the exit code 1.
    """
    from rich.console import Console

    began = perf_counter()
    mix = [_load(task, max_new_tokens) for task in tasks]
    scenario = scenario_of({"mix": mix, "photos": {"width": width, "height": height}}, "options")
    plan = PairPlan(
        clients=clients, seconds=seconds, rounds=rounds, timeout_s=_TIMEOUT_S, malformed_too=not random_weights
    )
    extra_args = (*(("--load-format", "dummy") if random_weights else ()), *engine_args.split())
    settings = EngineSettings(model=model, max_model_len=_MAX_MODEL_LEN, extra_args=extra_args)
    with Console(stderr=True).status("drawing photos") as status:

        async def work() -> PairReport:
            payloads = draw_payloads(scenario.photos, os.urandom(4).hex())
            status.update("starting vLLM")
            async with raw_engine(settings) as engine:
                rest = replace(plan, budget_s=began + budget - perf_counter())
                return await compare_with_vllm(
                    engine, settings.served_name, scenario.mix, rest, payloads,
                    sides="free" if free else "ours", progress=status.update,
                )  # fmt: skip

        report = run(work())
    print_report(report, free=free, as_document=as_document)
    if report.problems or not report.rows:
        click.echo(f"vqc-bench: {report.problems[0] if report.problems else 'no time for a pair'}", err=True)
        raise click.exceptions.Exit(1)


async def compare_with_vllm(
    engine: RunningServer,
    model: str,
    loads: Sequence[Load],
    plan: PairPlan,
    payloads: Payloads,
    *,
    sides: Sides = "ours",
    progress: Callable[[str], None] = lambda _: None,
    on_row: Callable[[PairRow], None] = lambda _: None,
) -> PairReport:
    """The report. ``engine`` is a vLLM on a Unix socket that serves ``model``.

    ``on_row`` gets the row of a level after each of its pairs, of all its pairs so far.

    Raises:
        BenchFailed: the service does not start, or one of the two dies.
    """
    began = perf_counter()
    async with AsyncExitStack() as stack:
        raw = Side(server=engine, jobs=Backend(target=engine.target, model=model).jobs(loads, payloads))
        first = raw
        if sides == "free":
            unconstrained = Backend(target=engine.target, model=model, constrained=False)
            first, raw = raw, Side(server=engine, jobs=unconstrained.jobs(loads, payloads))
        elif sides == "ours":
            progress("starting the service")
            service = await stack.enter_async_context(_service(engine, model, loads, plan))
            first = Side(server=service, jobs=Backend(target=service.target).jobs(loads, payloads))
        metrics = VllmClient(Path(str(engine.target.uds)), model)
        stack.push_async_callback(metrics.aclose)

        async def tokens() -> Tokens:
            return metric_totals(await metrics.metrics()).get(TOKENS)

        # The service uses the same engine, so requests to raw vLLM warm up both sides.
        warm_up = (0,) if sides == "free" else (1,)
        pairs = PairMeasurement(
            plan, (first, raw), began=began, warm_up=warm_up, only_raw=sides == "raw", tokens=tokens
        )
        return await pairs.run(progress, on_row)


def _service(
    engine: RunningServer, model: str, loads: Sequence[Load], plan: PairPlan
) -> AbstractAsyncContextManager[RunningServer]:
    # As many tickets at once as raw vLLM gets requests at once.
    settings = in_front_of(engine, model) | {"VQC_WORKER_CONCURRENCY": str(max(plan.clients))}
    return our_service(settings, tickets=any(load.task == "stage-b" for load in loads))


def _load(task: str, max_new_tokens: int | None) -> dict[str, object]:
    tokens = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
    if task.startswith("caption"):
        return {"task": "caption", "body": "sse" if task == "caption-sse" else "multipart", **tokens}
    return {"task": task, **({"lines": "given"} if task == "stage-b" else {}), **tokens}


def print_report(report: PairReport, *, free: bool, as_document: bool) -> None:
    """Writes the report to the standard output; ``free`` names the sides after their grammar."""
    if as_document:
        click.echo(json.dumps(asdict(report), indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    ours, raw = ("grammar", "free") if free else ("ours", "raw")
    headings = ["request", "clients", "pairs", f"{ours}/s", f"{raw}/s", "ratio", "lowest", "highest", "token ratio"]
    headings += [f"{ours} p50", f"{raw} p50", "+ ms", f"{ours} p99", f"{raw} p99", "answers", "errors", "unread"]
    rows = table(headings, left=["request"])
    for row in report.rows:
        one, other = row.ours, row.raw
        assert one is not None  # both sides were measured
        assert row.spread is not None
        values = [row.clients, row.pairs, one.per_s, other.per_s, row.ratio, *row.spread, row.token_ratio]
        values += [one.p50_ms, other.p50_ms, row.overhead_ms, one.p99_ms, other.p99_ms]
        values += [row.answers, row.errors, row.malformed]
        rows.add_row(row.label, *(cell(value, ",.3f" if abs(value or 0) < 100 else ",.0f") for value in values))
    console = Console()
    console.width = max(console.width, 160)
    console.print(rows)
