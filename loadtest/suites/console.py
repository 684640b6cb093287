"""What a page of the review console costs as the queue grows: the same requests at every size, one after the other.

A real process tree (`vqc up` on the scripted engine, its own Redis) takes and judges the tickets; their photos show nothing of
the mission, so every one waits for a person. CPU is that of the whole tree, Redis and the idle worker included; times are
those of the client on the same machine, and grow with whatever else runs there.
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

import httpx

from loadtest.errors import BenchFailed
from loadtest.process_usage import tree_usage
from loadtest.quantiles import quantile
from loadtest.targets.api import running_api
from vqc.missions import missions

JUDGED_TIMEOUT_S = 900.0
_AT_ONCE = 16
_NEXT = re.compile(r'href="([^"]+)" rel="next"')
_TICKET = re.compile(r'href="(/console/tickets/[0-9a-f]+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one page costs with so many tickets waiting, in milliseconds per request."""

    waiting: int
    page: str
    requests: int
    cpu_ms: float
    p50_ms: float
    p99_ms: float


async def measure(sizes: Sequence[int], requests: int, starting: Callable[[str], None]) -> list[Row]:
    """The rows of every page at every size.

    Raises:
        BenchFailed: the service does not come up, a page is not answered with 200, or tickets are not judged in time.
    """
    rows: list[Row] = []
    async with _service() as (client, pid):
        waiting = 0
        for size in sorted(sizes):
            starting(f"{size:,} tickets: submitting and judging")
            await _filled(client, waiting, size)
            waiting = size
            starting(f"{size:,} tickets: measuring")
            for name, path in (await _pages(client, size)).items():
                await _timed(client, path)
                before = tree_usage(pid).cpu_s
                times = sorted([await _timed(client, path) for _ in range(requests)])
                cpu_ms = round((tree_usage(pid).cpu_s - before) * 1000 / requests, 2)
                p50_ms, p99_ms = (round(quantile(times, q), 2) for q in (0.5, 0.99))
                rows.append(
                    Row(waiting=size, page=name, requests=requests, cpu_ms=cpu_ms, p50_ms=p50_ms, p99_ms=p99_ms)
                )
    return rows


@asynccontextmanager
async def _service() -> AsyncGenerator[tuple[httpx.AsyncClient, int], None]:
    """A client of the service, and the process at the root of its tree."""
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
            yield client, server.process.pid


async def _filled(client: httpx.AsyncClient, first: int, size: int) -> None:
    """Submits the tickets from ``first`` to ``size`` and waits until all of them wait for a person."""
    names, places = list(missions()), asyncio.Semaphore(_AT_ONCE)

    async def submit(n: int) -> None:
        ticket = {"mission": names[n % len(names)], "ticket_id": f"QC-{n:06d}", "photos": [{"summary": "无关图片"}] * 3}
        async with places:
            answer = await client.post("/stage-b/groups", json=ticket)
            if answer.status_code != 202:
                raise BenchFailed(f"a ticket was answered {answer.status_code}: {answer.text[:300]}")

    await asyncio.gather(*(submit(n) for n in range(first, size)))
    deadline = perf_counter() + JUDGED_TIMEOUT_S
    while (found := await _waiting(client)) < size:
        if perf_counter() > deadline:
            raise BenchFailed(f"{found:,} of {size:,} tickets wait for a person after {JUDGED_TIMEOUT_S:g} s")
        await asyncio.sleep(0.5)


async def _waiting(client: httpx.AsyncClient) -> int:
    answer = await client.get("/stage-b/groups", params={"state": "needs_review", "limit": 1})
    return int(answer.json()["total"])


async def _pages(client: httpx.AsyncClient, size: int) -> dict[str, str]:
    """What is measured. The last page is found by walking there, which must show every ticket once."""
    seen: set[str] = set()
    path, last = "/console/queue", "/console/queue"
    while True:
        text = (await client.get(path)).text
        seen |= set(_TICKET.findall(text.partition("<table")[2]))
        if not (found := _NEXT.search(text)):
            break
        path = last = unescape(found[1])
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


async def _timed(client: httpx.AsyncClient, path: str) -> float:
    started = perf_counter()
    answer = await client.get(path)
    if answer.status_code != 200:
        raise BenchFailed(f"GET {path}: {answer.status_code}: {answer.text[:300]}")
    return (perf_counter() - started) * 1000
