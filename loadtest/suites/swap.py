"""``vqc-bench swap``: the effect of replacing a model, and of the way back, on requests under a steady load."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import httpx

from loadtest.errors import BenchFailed
from loadtest.load.photos import jpeg_photos
from loadtest.loop import run
from loadtest.report import as_json, table
from loadtest.suites.swap_answers import SwapAnswer, SwapRow, read_answer, swap_row
from loadtest.targets.api import running_api
from loadtest.targets.server import RunningServer
from registry import ANY, Registry, open_registry

ALIAS = "champion"
START_TIMEOUT_S = 900.0
SWAP_TIMEOUT_S = 900.0
MISSION = "挡风板安装检查"
STAGE_A_PHOTOS = 3
_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapPlan:
    """Two checkpoint directories, served alternately. One connection requests Stage-A lines, the others captions."""

    first: Path
    second: Path
    engine: str
    swap: str
    connections: int
    rounds: int
    steady_s: float
    max_new_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapReport:
    """The rows and the first problem."""

    rows: list[SwapRow]
    problem: str | None


@dataclass(slots=True)
class _SwapLoad:
    """Connections that send their next request when they have an answer."""

    client: httpx.AsyncClient
    photos: Sequence[bytes]
    max_new_tokens: int
    answers: list[SwapAnswer] = field(default_factory=list)
    is_over: bool = False

    async def captions(self, n: int) -> None:
        """Requests captions of one photo after the other."""
        while not self.is_over:
            n = (n + 1) % len(self.photos)
            files = {"photo": (f"{n}.jpg", self.photos[n])}
            began = perf_counter()
            self.answers.append(read_answer(began, await self._post("/caption", files=files), n))

    async def stage_a(self) -> None:
        """Requests the lines of several photos, again and again."""
        files = [("photos", (f"{n}.jpg", photo)) for n, photo in enumerate(self.photos[:STAGE_A_PHOTOS])]
        while not self.is_over:
            began = perf_counter()
            self.answers.append(
                read_answer(began, await self._post("/stage-a", files=files, data={"mission": MISSION}), None)
            )

    async def _post(self, path: str, **body: Any) -> httpx.Response | str:
        try:
            return await self.client.post(path, params={"max_new_tokens": self.max_new_tokens}, **body)
        except httpx.HTTPError as error:
            return f"{path}: {error!r}"


@click.command()
@click.argument("first", type=_DIRECTORY)
@click.argument("second", type=_DIRECTORY)
@click.option("--engine", type=click.Choice(["managed", "scripted"]), default="managed", show_default=True)
@click.option(
    "--swap",
    type=click.Choice(["auto", "blue_green", "drain"]),
    default="auto",
    show_default=True,
    help="As VQC_SWAP: beside the old model, or after it.",
)
@click.option(
    "--connections",
    type=click.IntRange(2, 256),
    default=4,
    show_default=True,
    help="Requests in flight; one is Stage-A.",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=2, show_default=True, help="Swaps forth and back.")
@click.option(
    "--steady",
    type=click.FloatRange(0.1, 3600),
    default=10.0,
    show_default=True,
    help="Seconds before and after a swap.",
)
@click.option(
    "--max-new-tokens", type=click.IntRange(8, 8192), default=200, show_default=True, help="Token limit of an answer."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def swap(
    first: Path,
    second: Path,
    engine: str,
    swap: str,
    connections: int,
    rounds: int,
    steady: float,
    max_new_tokens: int,
    as_document: bool,
) -> None:
    """Replace one checkpoint by another and back under a steady load of captions and Stage-A requests.

    Any error, and any answer that names a model that did not write it, makes the exit code 1.
    """
    from rich.console import Console

    plan = SwapPlan(
        first=first,
        second=second,
        engine=engine,
        swap=swap,
        connections=connections,
        rounds=rounds,
        steady_s=steady,
        max_new_tokens=max_new_tokens,
    )
    with Console(stderr=True).status("drawing photos") as status:
        report = run(measure(plan, jpeg_photos(6, (512, 384)), status.update))
    _print_report(report, as_document)
    if report.problem or any(row.foreign for row in report.rows):
        click.echo(f"vqc-bench: {report.problem or 'an answer names a model that did not write it'}", err=True)
        raise click.exceptions.Exit(1)


def _print_report(report: SwapReport, as_document: bool) -> None:
    if as_document:
        click.echo(as_json(report.rows))
        return
    from rich.console import Console

    names = [name.replace("_", " ") for name in asdict(report.rows[0])]
    swaps = table(names, left=names[:2], title="a model replaced under load")
    for row in report.rows:
        swaps.add_row(*("–" if value is None else str(value) for value in asdict(row).values()))
    Console().print(swaps)


async def measure(
    plan: SwapPlan, photos: Sequence[bytes], progress: Callable[[str], None] = lambda _: None
) -> SwapReport:
    """Swaps to the second model and back, ``rounds`` times, under load.

    Raises:
        BenchFailed: the API does not start, or both directories are the same version.
    """
    with tempfile.TemporaryDirectory(prefix="vqc-swap-") as folder:
        registry = open_registry(Path(folder) / "registry")
        progress("pushing both versions")
        digests = [await asyncio.to_thread(_push, registry, path) for path in (plan.first, plan.second)]
        if digests[0] == digests[1]:
            raise BenchFailed(f"{plan.first} and {plan.second} are the same version {digests[0]}")
        registry.move(ALIAS, digests[0], expected=ANY, actor="vqc-bench", reason="first")
        settings = {
            "VQC_ENGINE": plan.engine,
            "VQC_REGISTRY": f"{folder}/registry",
            "VQC_MODEL": ALIAS,
            "VQC_MODEL_CACHE": f"{folder}/models",
            "VQC_ENGINE_LOG": f"{folder}/engine.log",
            "VQC_REGISTRY_POLL_S": "0",
            "VQC_SWAP": plan.swap,
        }
        progress("starting the API")
        in_flight = 2 * plan.connections + 2
        async with running_api(in_flight, settings, ready_timeout_s=START_TIMEOUT_S) as server:
            return await _measure_swaps(plan, photos, registry, digests, server, progress)


async def _measure_swaps(
    plan: SwapPlan,
    photos: Sequence[bytes],
    registry: Registry,
    digests: list[str],
    server: RunningServer,
    progress: Callable[[str], None],
) -> SwapReport:
    base_url = f"http://{server.target.host}:{server.target.port}"
    async with httpx.AsyncClient(base_url=base_url, timeout=SWAP_TIMEOUT_S, trust_env=False) as client:
        load = _SwapLoad(client=client, photos=photos, max_new_tokens=plan.max_new_tokens)
        tasks = [asyncio.create_task(load.captions(n)) for n in range(plan.connections - 1)]
        tasks.append(asyncio.create_task(load.stage_a()))
        spans: list[tuple[str, dict[str, Any], float, float, float]] = []
        try:
            for n in range(2 * plan.rounds):
                move, digest = ("swap", digests[1]) if n % 2 == 0 else ("rollback", digests[0])
                progress(f"{move} {n // 2 + 1} of {plan.rounds}")
                before = perf_counter()
                await asyncio.sleep(plan.steady_s)
                await asyncio.to_thread(registry.move, ALIAS, digest, expected=ANY, actor="vqc-bench", reason=move)
                called = perf_counter()
                swapped = await _reload(client, digest)
                await asyncio.sleep(plan.steady_s)
                spans.append((move, swapped, before, called, perf_counter()))
                server.check_alive()
        finally:
            load.is_over = True
            await asyncio.gather(*tasks)
    rows = [swap_row(load.answers, *span) for span in spans]
    return SwapReport(rows=rows, problem=next((answer.problem for answer in load.answers if answer.problem), None))


async def _reload(client: httpx.AsyncClient, digest: str) -> dict[str, Any]:
    answer = await client.post(f"/models/{ALIAS}/reload")
    body = answer.json()
    if answer.status_code != 200 or body["digest"] != digest:
        raise BenchFailed(f"the reload did not activate {digest}: {answer.status_code} {answer.text[:500]}")
    return body


def _push(registry: Registry, directory: Path) -> str:
    return registry.push(directory, actor="vqc-bench").digest
