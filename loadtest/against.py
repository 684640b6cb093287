"""``vqc-bench gateway --against TREE``: this tree's API and another's, measured in turns under the same load.

Both run all the while; the one that is not asked costs nothing. On a machine that does other work too, only the ratio within a
pair means something.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtest.client import ClosedLoop
from loadtest.errors import BenchFailed
from loadtest.http.requests import Body, caption_fault, caption_request
from loadtest.process_usage import tree_usage
from loadtest.suites.gateway import Row, measured_window
from loadtest.targets.api import MeasuredServer, running_api

_STUB_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One level: CPU milliseconds per request of both sides, medians over the rounds, and what the pairs' ratios are.

    ``cpu_ratio`` and ``rate_ratio`` are medians of this tree ÷ the other's within each pair; ``spread`` the lowest and highest
    ``cpu_ratio`` of a pair.
    """

    connections: int
    pairs: int
    ours_cpu_ms: float
    theirs_cpu_ms: float
    cpu_ratio: float
    spread: tuple[float, float]
    rate_ratio: float
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPlan:
    """``tree`` is a checkout of the project. With ``stub`` a stand-in for vLLM answers over HTTP, else the scripted engine."""

    tree: Path
    connections: tuple[int, ...]
    seconds: float
    rounds: int
    body: Body
    stub: bool


async def compare(
    plan: PairPlan, photos: Sequence[bytes], starting: Callable[[str], None] = lambda _: None
) -> list[PairRow]:
    """A row per level.

    Raises:
        BenchFailed: a server does not start, goes away or gives no answer.
    """
    if not (plan.tree / "service" / "cli").is_dir():
        raise BenchFailed(f"{plan.tree} is no checkout of this project")
    async with AsyncExitStack() as stack:
        settings: dict[str, str] = {}
        if plan.stub:
            socket = await stack.enter_async_context(stub_engine())
            settings = {"VQC_ENGINE": "external", "VQC_ENGINE_URL": f"unix://{socket}"}
        most = 2 * max(plan.connections)
        ours = await stack.enter_async_context(running_api(most, settings))
        theirs = await stack.enter_async_context(running_api(most, settings, tree=plan.tree))
        return [await _level(plan, photos, (ours, theirs), connections, starting) for connections in plan.connections]


async def _level(
    plan: PairPlan,
    photos: Sequence[bytes],
    servers: tuple[MeasuredServer, MeasuredServer],
    connections: int,
    starting: Callable[[str], None],
) -> PairRow:
    pairs: list[tuple[Row, Row]] = []
    for n in range(plan.rounds):
        starting(f"{connections} connections, pair {n + 1} of {plan.rounds}")
        order = servers if n % 2 == 0 else servers[::-1]
        rows = {id(server): await _window(plan, photos, server, connections) for server in order}
        pairs.append((rows[id(servers[0])], rows[id(servers[1])]))
    cpu = [(_cpu(ours), _cpu(theirs)) for ours, theirs in pairs]
    ratios = [ours / theirs for ours, theirs in cpu]
    return PairRow(
        connections=connections,
        pairs=len(pairs),
        ours_cpu_ms=round(statistics.median(ours for ours, _ in cpu), 3),
        theirs_cpu_ms=round(statistics.median(theirs for _, theirs in cpu), 3),
        cpu_ratio=round(statistics.median(ratios), 3),
        spread=(round(min(ratios), 3), round(max(ratios), 3)),
        rate_ratio=round(statistics.median(ours.requests_per_s / theirs.requests_per_s for ours, theirs in pairs), 3),
        errors=sum(ours.errors + theirs.errors for ours, theirs in pairs),
    )


async def _window(plan: PairPlan, photos: Sequence[bytes], server: MeasuredServer, connections: int) -> Row:
    requests = [caption_request(server.target, photo, plan.body) for photo in photos]
    server.check_alive()
    async with ClosedLoop(server.target, requests, connections, caption_fault) as load:
        return await measured_window(load, connections, plan.seconds, lambda: tree_usage(server.process.pid))


def _cpu(row: Row) -> float:
    if not row.cpu_ms_per_request:
        raise BenchFailed("no answer, or no CPU time, in a window: make it longer")
    return row.cpu_ms_per_request


@asynccontextmanager
async def stub_engine() -> AsyncGenerator[Path, None]:
    """The socket of a running ``loadtest.targets.stub_engine``. Raises ``BenchFailed``."""
    with tempfile.TemporaryDirectory(prefix="vqc-stub-", dir="/tmp") as folder:
        socket = Path(folder, "engine.sock")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtest.targets.stub_engine", str(socket)
        )
        try:
            async with asyncio.timeout(_STUB_TIMEOUT_S):
                while not socket.exists():  # noqa: ASYNC240  (one stat)
                    if process.returncode is not None:
                        raise BenchFailed(f"the stub engine ended with code {process.returncode}")
                    await asyncio.sleep(0.05)
            yield socket
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
