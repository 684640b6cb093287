"""``vqc-bench strangers``: what others notice while strangers without a key misuse connections, and a thousand followers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import click

from loadtest.errors import BenchFailed
from loadtest.http.connection import ConnectionLost, Pool
from loadtest.http.requests import Body, Target, caption_request
from loadtest.loop import run
from loadtest.quantiles import quantile
from loadtest.report import as_json, cell, table
from loadtest.suites.stranger_attacks import ATTACKS, Followers, raise_open_files, start_attack
from loadtest.targets.api import running_api
from loadtest.targets.server import RunningServer
from vqc.missions import missions

_OTHERS = 4
_FOLLOWED = 50
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StrangerRow:
    """What ``requests`` of others took while ``connections`` did ``what``; ``errors`` are other answers than 200.

    ``aborted`` counts streams of followers that did not end with their ticket.
    """

    what: str
    connections: int
    requests: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    errors: int
    peak_rss_mb: float
    aborted: int | None = None


@click.command()
@click.option("--attack", "names", type=click.Choice([*ATTACKS, "followers"]), multiple=True, help="Default: all.")
@click.option("--seconds", type=click.FloatRange(0.5, 600), default=15.0, show_default=True, help="Time per attack.")
@click.option("--followers", type=click.IntRange(1, 20_000), default=1000, show_default=True, help="Streams at once.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def strangers(names: tuple[str, ...], seconds: float, followers: int, as_document: bool) -> None:
    """Others' latency and the API's memory while strangers misuse connections: heads, bodies, silence, followers.

    Others send a small POST /caption and a GET in turn, each on a new connection. The exit code is 1 if one of them fails.
    """
    from rich.console import Console

    raise_open_files()
    with Console(stderr=True).status("starting the API") as status:
        rows = run(measure(names or [*ATTACKS, "followers"], seconds, followers, status.update))
    if as_document:
        click.echo(as_json(rows))
    else:
        shown = table(
            ["attack", "conns", "others", "p50 ms", "p99 ms", "worst", "errors", "RSS MB", "aborted"], left=["attack"]
        )
        for row in rows:
            shown.add_row(
                row.what,
                *(cell(value, ",.1f") for value in (row.connections, row.requests, row.p50_ms, row.p99_ms)),
                *(cell(value, ",.1f") for value in (row.worst_ms, row.errors, row.peak_rss_mb, row.aborted)),
            )
        Console().print(shown)
    if any(row.errors or row.aborted for row in rows):
        raise BenchFailed("others were not answered")


async def measure(
    names: Sequence[str], seconds: float, followers: int, progress: Callable[[str], None]
) -> list[StrangerRow]:
    """A row per attack, each against a service of its own.

    Raises:
        BenchFailed: the service does not start, or ends.
    """
    rows = []
    for name in names:
        progress(name)
        if name == "followers":
            rows.append(await _measure_followers(followers, seconds))
            continue
        async with running_api(256) as server:
            process = start_attack(name, server.target)
            try:
                await asyncio.sleep(min(2.0, seconds))  # the attack has begun
                times, errors = await _others(server.target, seconds)
            finally:
                process.kill()
                process.join()
            rows.append(_row(name, ATTACKS[name][1], server, times, errors))
    return rows


async def _others(target: Target, seconds: float) -> tuple[list[float], int]:
    """The milliseconds of every request of others, and how many were not answered with 200."""
    from loadtest.load.photos import jpeg_photos

    photo = jpeg_photos(1, (256, 192))[0]
    requests = (caption_request(target, photo, Body.MULTIPART), target.head("GET", "/healthz"))
    times: list[float] = []
    errors = 0
    until = perf_counter() + seconds

    async def one() -> None:
        nonlocal errors
        n = 0
        while perf_counter() < until:
            started, pool = perf_counter(), Pool(target)
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    errors += (await pool.exchange(requests[n % 2])).status != 200
            except (OSError, ConnectionLost, TimeoutError):
                errors += 1
            times.append((perf_counter() - started) * 1000)
            pool.close()
            n += 1
            await asyncio.sleep(0.01)

    await asyncio.gather(*(one() for _ in range(_OTHERS)))
    return times, errors


async def _measure_followers(followers: int, seconds: float) -> StrangerRow:
    """``followers`` of tickets that end one after the other, while others read tickets."""
    settings = {"VQC_STAGE_B": "on"}
    async with running_api(256, settings) as server:
        target, pool = server.target, Pool(server.target)
        paths = [await _submit(pool, target, n) for n in range(_FOLLOWED)]
        streams = Followers(target, paths, followers)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await streams.receive()
            times, errors = await _read_while_tickets_end(pool, target, paths, seconds)
            async with asyncio.timeout(_TIMEOUT_S):
                aborted = await streams.receive()
        finally:
            streams.process.kill()
            streams.process.join()
            pool.close()
        return _row("followers", followers, server, times, errors, aborted=aborted)


async def _read_while_tickets_end(
    pool: Pool, target: Target, paths: Sequence[str], seconds: float
) -> tuple[list[float], int]:
    """The milliseconds of each GET of a ticket while the tickets are cancelled one after the other."""
    times: list[float] = []
    errors = 0
    for path in paths:
        until = perf_counter() + seconds / len(paths)
        while perf_counter() < until:
            began = perf_counter()
            errors += (await pool.exchange(target.head("GET", path))).status != 200
            times.append((perf_counter() - began) * 1000)
            await asyncio.sleep(0.01)
        await pool.exchange(target.head("DELETE", path))
    return times, errors


async def _submit(pool: Pool, target: Target, n: int) -> str:
    """The path of a new ticket, which no worker judges."""
    ticket = {"mission": next(iter(missions())), "ticket_id": f"QC-{n:06d}", "photos": [{"summary": "无关图片"}]}
    reply = await pool.exchange(target.post_json("/stage-b/groups", ticket))
    if reply.status != 202:
        raise BenchFailed(f"a ticket was rejected with {reply.status}: {json.dumps(bytes(reply.body).decode())}")
    return reply.headers["location"]


def _row(
    what: str, connections: int, server: RunningServer, times: list[float], errors: int, aborted: int | None = None
) -> StrangerRow:
    usage, ascending = server.usage(), sorted(times)
    return StrangerRow(
        what=what,
        connections=connections,
        requests=len(times),
        p50_ms=round(quantile(ascending, 0.5), 1),
        p99_ms=round(quantile(ascending, 0.99), 1),
        worst_ms=round(ascending[-1], 1),
        errors=errors,
        peak_rss_mb=usage.peak_rss_mb if usage else 0.0,
        aborted=aborted,
    )
