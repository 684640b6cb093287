"""``vqc-bench console``: the cost of each page of the review console as the queue grows.

A real process tree (``vqc up`` on the scripted engine, with its own Redis) takes and judges the tickets. Their photos show
nothing of the mission, so every ticket waits for a person. CPU time is that of the whole tree, with Redis and the idle worker;
latencies are measured by the client on the same machine, and grow with its other work.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from time import perf_counter

import click
import httpx

from loadtest.counts import Counts
from loadtest.errors import BenchFailed
from loadtest.loop import run
from loadtest.quantiles import quantile
from loadtest.report import as_json, table
from loadtest.targets.api import running_api
from loadtest.targets.server import RunningServer
from vqc.missions import missions

JUDGED_TIMEOUT_S = 900.0
_CONCURRENCY = 16
_NEXT = re.compile(r'href="([^"]+)" rel="next"')
_TICKET = re.compile(r'href="(/console/tickets/[0-9a-f]+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRow:
    """The cost of one page with ``waiting`` tickets in the queue, in milliseconds per request."""

    waiting: int
    page: str
    requests: int
    cpu_ms: float
    p50_ms: float
    p99_ms: float


@click.command()
@click.option(
    "--tickets", "sizes", type=Counts(), default="500,5000", show_default=True, help="Tickets in the queue, per level."
)
@click.option("--requests", type=click.IntRange(2, 10_000), default=100, show_default=True, help="Per page and level.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def console(sizes: tuple[int, ...], requests: int, as_document: bool) -> None:
    """Pages of the review console as the queue grows: CPU time, p50 and p99 of consecutive requests, in milliseconds."""
    from rich.console import Console

    with Console(stderr=True).status("starting the service") as status:
        rows = run(measure(sizes, requests, status.update))
    if as_document:
        click.echo(as_json(rows))
        return
    pages = table(["waiting", "page", "CPU ms", "p50 ms", "p99 ms"], left=["page"])
    for row in rows:
        pages.add_row(f"{row.waiting:,}", row.page, f"{row.cpu_ms:.1f}", f"{row.p50_ms:.1f}", f"{row.p99_ms:.1f}")
    Console().print(pages)


async def measure(sizes: Sequence[int], requests: int, progress: Callable[[str], None]) -> list[PageRow]:
    """A row for every page at every size.

    Raises:
        BenchFailed: the service does not start, a page does not return 200, or tickets are not judged in time.
    """
    rows: list[PageRow] = []
    async with _running_console() as (client, server):
        waiting = 0
        for size in sorted(sizes):
            progress(f"{size:,} tickets: submitting and judging")
            await _fill_queue(client, waiting, size)
            waiting = size
            progress(f"{size:,} tickets: measuring")
            for name, path in (await _find_pages(client, size)).items():
                await _time_get(client, path)  # the first request compiles the template
                before_s = server.cpu_s()
                times = sorted([await _time_get(client, path) for _ in range(requests)])
                cpu_ms = round((server.cpu_s() - before_s) * 1000 / requests, 2)
                p50_ms, p99_ms = (round(quantile(times, q), 2) for q in (0.5, 0.99))
                rows.append(
                    PageRow(waiting=size, page=name, requests=requests, cpu_ms=cpu_ms, p50_ms=p50_ms, p99_ms=p99_ms)
                )
    return rows


@asynccontextmanager
async def _running_console() -> AsyncGenerator[tuple[httpx.AsyncClient, RunningServer], None]:
    """The service, and a client of it."""
    with tempfile.TemporaryDirectory(prefix="vqc-bench-") as folder:
        settings = {"VQC_STAGE_B": "on", "VQC_STATE_DIR": folder, "VQC_STAGE_B_MAX_QUEUED": "1000000"}
        async with (
            running_api(256, settings, command="up") as server,
            httpx.AsyncClient(
                base_url=f"http://{server.target.host}:{server.target.port}",
                headers={"Accept": "text/html"},
                timeout=60,
            ) as client,
        ):
            yield client, server


async def _fill_queue(client: httpx.AsyncClient, first: int, size: int) -> None:
    """Submits the tickets from ``first`` to ``size`` and waits until all of them wait for a person."""
    names, slots = list(missions()), asyncio.Semaphore(_CONCURRENCY)

    async def submit(n: int) -> None:
        ticket = {"mission": names[n % len(names)], "ticket_id": f"QC-{n:06d}", "photos": [{"summary": "无关图片"}] * 3}
        async with slots:
            response = await client.post("/stage-b/groups", json=ticket)
            if response.status_code != 202:
                raise BenchFailed(f"a ticket was rejected with {response.status_code}: {response.text[:300]}")

    await asyncio.gather(*(submit(n) for n in range(first, size)))
    deadline = perf_counter() + JUDGED_TIMEOUT_S
    while (waiting := await _count_waiting(client)) < size:
        if perf_counter() > deadline:
            raise BenchFailed(f"{waiting:,} of {size:,} tickets wait for a person after {JUDGED_TIMEOUT_S:g} s")
        await asyncio.sleep(0.5)


async def _count_waiting(client: httpx.AsyncClient) -> int:
    response = await client.get("/stage-b/groups", params={"state": "needs_review", "limit": 1})
    return int(response.json()["total"])


async def _find_pages(client: httpx.AsyncClient, size: int) -> dict[str, str]:
    """The paths to measure, by name. Walks to the queue's last page, and checks that the pages show every ticket."""
    seen: set[str] = set()
    path, last = "/console/queue", "/console/queue"
    while True:
        text = (await client.get(path)).text
        seen |= set(_TICKET.findall(text.partition("<table")[2]))
        if not (link := _NEXT.search(text)):
            break
        path = last = unescape(link[1])
    if len(seen) != size:
        raise BenchFailed(f"the pages of the queue show {len(seen):,} of {size:,} tickets")
    mission = next(iter(missions()))
    return {
        "queue, first page": "/console/queue",
        "queue, last page": last,
        "queue, one mission, oldest first": f"/console/queue?mission={mission}&order=age",
        "queue, one mission, model and risk": f"/console/queue?mission={mission}&risk=high&older=1h",
        "live counts": "/console/queue/counts",
        "ticket": min(seen),
        "live": "/console/live",
    }


async def _time_get(client: httpx.AsyncClient, path: str) -> float:
    """The milliseconds of a GET. Raises ``BenchFailed`` for another status than 200."""
    started = perf_counter()
    response = await client.get(path)
    if response.status_code != 200:
        raise BenchFailed(f"GET {path}: {response.status_code}: {response.text[:300]}")
    return (perf_counter() - started) * 1000
