"""``vqc-bench gateway``: what our own endpoint costs, with no model behind it, as concurrency grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from time import perf_counter, process_time

from loadtest.client import ClosedLoop
from loadtest.http.requests import Body, Target, caption_fault, caption_request
from loadtest.process_usage import Usage, tree_usage
from loadtest.quantiles import quantile
from loadtest.targets.api import running_api
from vqc.geometry import SizeWH

WARM_UP_S = 1.0
ANSWER_TIMEOUT_S = 60.0
PHOTOS = 12
"""Distinct photos in rotation, so that no cache of one photo can flatter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked for. ``target`` None starts our API and measures that; ``pid`` is a running target's process."""

    connections: tuple[int, ...]
    seconds: float
    size_wh: SizeWH
    body: Body
    target: Target | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One level. What could not be measured (CPU of a server without a pid, times without an answer) is None.

    ``server_cores`` and ``client_cores`` are CPU seconds per second: where the second is near 1, the generator is the
    limit. ``errors`` and ``answers_so_far`` (all levels) count the warm-up too; ``peak_rss_mb`` is since the start.
    """

    connections: int
    requests_per_s: float
    cpu_ms_per_request: float | None
    p50_ms: float | None
    p99_ms: float | None
    errors: int
    requests: int
    server_cores: float | None
    client_cores: float
    answers_so_far: int
    peak_rss_mb: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The rows and the first problem of any."""

    rows: list[Row]
    problem: str | None
    photo_bytes: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """What one level's window held."""

    seconds: float
    latencies_s: list[float]
    client_cpu_s: float
    before: Usage | None
    after: Usage | None


async def measure(plan: Plan, photos: Sequence[bytes], starting: Callable[[int], None] = lambda _: None) -> Report:
    """Measures every level in turn against one server; ``starting`` hears of each.

    Raises:
        BenchFailed: the server does not start, goes away, or gives no answer.
    """
    rows, problem, answers = [], None, 0
    async with AsyncExitStack() as stack:
        target, pid, check_alive = plan.target, plan.pid, lambda: None
        if target is None:
            server = await stack.enter_async_context(running_api(max_in_flight=2 * max(plan.connections)))
            target, pid, check_alive = server.target, server.process.pid, server.check_alive

        def usage() -> Usage | None:
            check_alive()
            return None if pid is None else tree_usage(pid)

        requests = [caption_request(target, photo, plan.body) for photo in photos]
        for connections in plan.connections:
            starting(connections)
            async with ClosedLoop(target, requests, connections, caption_fault) as load:
                row = await measured_window(load, connections, plan.seconds, usage)
            answers += load.tally.answers
            rows.append(replace(row, errors=load.tally.errors, answers_so_far=answers))
            problem = problem or load.tally.problem
    sizes = [len(photo) for photo in photos]
    return Report(rows=rows, problem=problem, photo_bytes=(min(sizes), max(sizes)))


async def measured_window(load: ClosedLoop, connections: int, seconds: float, usage: Callable[[], Usage | None]) -> Row:
    """One level on a loop that is up: warmed up, then measured for so many seconds. Raises ``BenchFailed``."""
    window = await _window(load, seconds, usage)
    return _row(connections, window, errors=load.tally.errors, answers_so_far=load.tally.answers)


async def _window(load: ClosedLoop, seconds: float, usage: Callable[[], Usage | None]) -> _Window:
    await load.warm_up(min(WARM_UP_S, seconds), ANSWER_TIMEOUT_S)
    before, client_before = usage(), process_time()
    load.tally.recording, started = True, perf_counter()
    await load.hold(seconds)
    load.tally.recording, ended = False, perf_counter()
    after, client_after = usage(), process_time()
    return _Window(
        seconds=ended - started,
        latencies_s=sorted(load.tally.latencies_s),
        client_cpu_s=client_after - client_before,
        before=before,
        after=after,
    )


def _row(connections: int, window: _Window, *, errors: int, answers_so_far: int) -> Row:
    requests, latencies = len(window.latencies_s), window.latencies_s
    cpu_s = window.after.cpu_s - window.before.cpu_s if window.before and window.after else None
    return Row(
        connections=connections,
        requests_per_s=round(requests / window.seconds, 1),
        cpu_ms_per_request=round(cpu_s / requests * 1000, 3) if cpu_s is not None and requests else None,
        p50_ms=round(quantile(latencies, 0.5) * 1000, 2) if requests else None,
        p99_ms=round(quantile(latencies, 0.99) * 1000, 2) if requests else None,
        errors=errors,
        requests=requests,
        server_cores=round(cpu_s / window.seconds, 2) if cpu_s is not None else None,
        client_cores=round(window.client_cpu_s / window.seconds, 2),
        answers_so_far=answers_so_far,
        peak_rss_mb=window.after.peak_rss_mb if window.after else None,
    )
