"""The measurements of ``vqc-bench gateway``: levels of one API, or pairs of windows of two."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import perf_counter, process_time

from typing_extensions import override

from loadtest.errors import BenchFailed
from loadtest.http.connection import ConnectionLost, Pool, Reply
from loadtest.http.requests import Body, Target, caption_problem, caption_request
from loadtest.load.job import Job, Reading, describe_rejection
from loadtest.load.outcome import RequestOutcome
from loadtest.load.pairs import Level, PairMeasurement, PairPlan, Side, SideFigures
from loadtest.load.windows import WindowResult, measure_window
from loadtest.process_usage import ProcessUsage
from loadtest.quantiles import quantile
from loadtest.suites.gateway_rows import GatewayPlan, GatewayReport, GatewayRow, TreeRow
from loadtest.targets.api import running_api
from loadtest.targets.server import RunningServer
from loadtest.targets.stub_engine import running_stub_engine

WARM_UP_S = 1.0
ANSWER_TIMEOUT_S = 60.0
CHECK_EVERY = 50
"""Each connection's first answer and every 50th after it are parsed, so that the generator costs little beside the API."""

_Sample = tuple[ProcessUsage | None, float]
"""The API's usage, and CPU seconds of this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionRotation(Job):
    """``POST /caption`` with prepared requests, one after the other."""

    requests: Sequence[bytes]

    @classmethod
    def of(cls, target: Target, photos: Sequence[bytes], body: Body) -> CaptionRotation:
        """The requests for these photos."""
        return cls(requests=[caption_request(target, photo, body) for photo in photos])

    @property
    @override
    def label(self) -> str:
        return "caption"

    @override
    def request(self, n: int) -> bytes:
        return self.requests[n % len(self.requests)]

    @override
    def follow(self, reply: Reply) -> bytes | None:
        return None

    @override
    def read(self, replies: Sequence[Reply]) -> Reading:
        (reply,) = replies
        return Reading(problem=caption_problem(bytes(reply.body)) if reply.status == 200 else describe_rejection(reply))


async def measure(
    plan: GatewayPlan, photos: Sequence[bytes], progress: Callable[[str], None] = lambda _: None
) -> GatewayReport:
    """Measures every level against one server.

    Raises:
        BenchFailed: the server does not start, is not reachable, or dies.
    """
    rows, outcomes, numbers = list[GatewayRow](), list[RequestOutcome](), count()
    async with AsyncExitStack() as stack:
        if plan.target is None:
            server = await stack.enter_async_context(running_api(max_in_flight=2 * max(plan.connections)))
        else:
            server = RunningServer(target=plan.target, pid=plan.pid)
        job = CaptionRotation.of(server.target, photos, plan.body)
        await _check_reachable(server.target)

        async def sample() -> _Sample:
            return server.usage(), process_time()

        for connections in plan.connections:
            progress(f"{connections} connections, {plan.seconds:g} s")
            window = await measure_window(
                server.target, job, connections, numbers, seconds=plan.seconds, warm_up_s=min(WARM_UP_S, plan.seconds),
                timeout_s=ANSWER_TIMEOUT_S, sample=sample, check_every=CHECK_EVERY,
            )  # fmt: skip
            outcomes += window.outcomes
            answers = sum(one.is_complete for one in outcomes)
            rows.append(_gateway_row(connections, plan.seconds, window, answers_so_far=answers))
    return GatewayReport(rows=rows, problem=next((one.problem for one in outcomes if one.problem), None))


async def _check_reachable(target: Target) -> None:
    pool = Pool(target)
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await pool.exchange(target.head("GET", "/healthz"))
    except (OSError, ConnectionLost) as error:
        raise BenchFailed(f"cannot connect to {target.host}:{target.port}: {error}") from error
    finally:
        pool.close()


def _gateway_row(connections: int, seconds: float, window: WindowResult[_Sample], *, answers_so_far: int) -> GatewayRow:
    (usage, client_s), (usage_after, client_after_s) = window.before, window.after
    requests, latencies = len(window.counted), sorted((one.ended - one.sent) * 1000 for one in window.counted)
    cpu_s = usage_after.cpu_s - usage.cpu_s if usage and usage_after else None
    return GatewayRow(
        connections=connections,
        requests_per_s=round(requests / seconds, 1),
        cpu_ms_per_request=round(cpu_s / requests * 1000, 3) if cpu_s is not None and requests else None,
        p50_ms=round(quantile(latencies, 0.5), 2) if requests else None,
        p99_ms=round(quantile(latencies, 0.99), 2) if requests else None,
        errors=sum(one.has_failed for one in window.outcomes),
        requests=requests,
        server_cores=round(cpu_s / window.seconds, 2) if cpu_s is not None else None,
        client_cores=round((client_after_s - client_s) / window.seconds, 2),
        answers_so_far=answers_so_far,
        peak_rss_mb=usage_after.peak_rss_mb if usage_after else None,
    )


def tree_plan(connections: tuple[int, ...], seconds: float, rounds: int) -> PairPlan:
    """The pairs of a comparison of two checkouts."""
    return PairPlan(
        clients=connections, seconds=seconds, rounds=rounds, timeout_s=ANSWER_TIMEOUT_S, check_every=CHECK_EVERY
    )


async def compare_trees(
    tree: Path,
    plan: PairPlan,
    photos: Sequence[bytes],
    body: Body,
    *,
    stub: bool,
    progress: Callable[[str], None] = lambda _: None,
) -> list[TreeRow]:
    """The API of this checkout (ours) against that of ``tree``, a row per level.

    Both run all the time; an idle API costs nothing. On a machine with other work, only the ratio within a pair is meaningful.

    Raises:
        BenchFailed: ``tree`` is not a checkout; an API does not start, dies or does not answer.
    """
    if not (tree / "service" / "cli").is_dir():
        raise BenchFailed(f"{tree} is no checkout of this project")
    began = perf_counter()
    async with AsyncExitStack() as stack:
        settings: dict[str, str] = {}
        if stub:
            socket = await stack.enter_async_context(running_stub_engine())
            settings = {"VQC_ENGINE": "external", "VQC_ENGINE_URL": f"unix://{socket}"}
        max_in_flight = 2 * max(plan.clients)
        servers = [
            await stack.enter_async_context(running_api(max_in_flight, settings, tree=code)) for code in (None, tree)
        ]
        ours, theirs = (
            Side(server=server, jobs=[CaptionRotation.of(server.target, photos, body)]) for server in servers
        )
        pairs = PairMeasurement(plan, (ours, theirs), began=began)
        await pairs.run(progress)
    return [tree_row(level) for level in pairs.levels]


def tree_row(level: Level) -> TreeRow:
    """The row of a level. Raises ``BenchFailed`` if a window has no answer or no CPU time."""
    pairs = [(ours, theirs) for ours, theirs in level.pairs if ours]
    cpu = [(_cpu_ms(ours), _cpu_ms(theirs)) for ours, theirs in pairs]
    if not cpu:
        raise BenchFailed(f"no answer in any window with {level.clients} connections")
    ratios = [ours / theirs for ours, theirs in cpu]
    return TreeRow(
        connections=level.clients,
        pairs=len(pairs),
        ours_cpu_ms=round(statistics.median(ours for ours, _ in cpu), 3),
        theirs_cpu_ms=round(statistics.median(theirs for _, theirs in cpu), 3),
        cpu_ratio=round(statistics.median(ratios), 3),
        spread=(round(min(ratios), 3), round(max(ratios), 3)),
        rate_ratio=round(statistics.median(ours.per_s / theirs.per_s for ours, theirs in pairs), 3),
        errors=sum(one.has_failed for one in level.outcomes),
    )


def _cpu_ms(side: SideFigures) -> float:
    if not side.cpu_ms:
        raise BenchFailed("no CPU time in a window: make it longer")
    return side.cpu_ms
