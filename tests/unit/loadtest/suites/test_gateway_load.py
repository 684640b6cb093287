"""The levels of ``vqc-bench gateway`` against small servers of this process, and the comparison of two checkouts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from loadtest.errors import BenchFailed
from loadtest.http.requests import Body, Target
from loadtest.load.outcome import RequestOutcome
from loadtest.load.pairs import Level, SideFigures
from loadtest.suites.gateway_load import CaptionRotation, compare_trees, measure, tree_plan, tree_row
from loadtest.suites.gateway_rows import GatewayPlan, GatewayReport
from tests.support.http_server import Respond, say, serving

CAPTION = json.dumps({"caption": {"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签/5G-BBU"}}}).encode()


def response(body: bytes = CAPTION, status: int = 200) -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def measured(respond: Respond, connections: int = 2) -> GatewayReport:
    """The report on a server that answers GET /healthz first; the photos are empty, so a request ends with its boundary."""
    async with serving(respond, ends_with=b"--\r\n") as (_, target):
        plan = GatewayPlan(connections=(connections,), seconds=0.1, body=Body.MULTIPART, target=target)
        return await measure(plan, [b"photo"])


async def test_a_level_counts_the_answers_within_its_window_and_all_of_them() -> None:
    served = 0

    async def respond(n: int, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await asyncio.sleep(0.001)
        writer.write(response())

    report = await measured(respond, connections=3)
    (row,) = report.rows
    assert row.answers_so_far == served - 1  # and the health check
    assert 0 < row.requests < row.answers_so_far
    assert row.p50_ms is not None
    assert 0 < row.p50_ms <= (row.p99_ms or 0)
    assert (row.errors, report.problem) == (0, None)


async def test_another_status_is_an_error_with_its_text_and_no_latency() -> None:
    report = await measured(say(response(b"busy", 429)))
    (row,) = report.rows
    assert row.errors == row.answers_so_far > 0
    assert report.problem == "status 429: busy"
    assert (row.requests, row.p50_ms) == (0, None)


async def test_an_invalid_caption_is_an_error() -> None:
    report = await measured(say(response(b"{}")))
    assert "no 'caption' object" in (report.problem or "")


async def test_a_connection_that_the_server_closes_is_an_error_and_no_answer() -> None:
    def respond(n: int, writer: asyncio.StreamWriter) -> None:
        writer.write(response()) if n < 4 else writer.close()

    report = await measured(respond)
    (row,) = report.rows
    assert row.answers_so_far == 3  # and the health check
    assert row.errors >= 1
    assert "closed before the response was complete" in (report.problem or "")


async def test_a_server_that_cannot_be_reached_is_named() -> None:
    async with serving(say(response())) as (_, target):
        pass
    plan = GatewayPlan(connections=(1,), seconds=0.1, body=Body.JSON, target=target)
    with pytest.raises(BenchFailed, match="cannot connect to 127"):
        await measure(plan, [b"photo"])


async def test_what_is_not_http_is_named() -> None:
    with pytest.raises(BenchFailed, match="is not HTTP"):
        await measured(say(b"SSH-2.0\r\n\r\n"))


def test_requests_rotate_through_the_photos() -> None:
    job = CaptionRotation.of(Target(host="h", port=1), [b"A", b"B", b"C"], Body.MULTIPART)
    assert len({job.request(n) for n in range(3)}) == 3
    assert [job.request(n) for n in range(3)] == [job.request(n) for n in range(3, 6)]


async def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match="is no checkout of this project"):
        await compare_trees(tmp_path, tree_plan((1,), 1, 1), [b""], Body.JSON, stub=False)


def figures(per_s: float, cpu_ms: float | None) -> SideFigures:
    return SideFigures(per_s=per_s, tokens_per_s=None, p50_ms=1.0, p99_ms=2.0, cpu_ms=cpu_ms)


def level(*pairs: tuple[SideFigures, SideFigures]) -> Level:
    job = CaptionRotation(requests=[b""])
    failed = RequestOutcome(label="caption", due=0, sent=0, ended=1, problem="status 500")
    return Level(jobs=(job, job), clients=16, pairs=[*pairs], outcomes=[failed])


def test_the_row_of_two_checkouts_has_medians_of_the_ratios_within_a_pair() -> None:
    row = tree_row(level((figures(30, 1.0), figures(10, 2.0)), (figures(20, 2.0), figures(20, 2.5))))
    assert (row.connections, row.pairs, row.errors) == (16, 2, 1)
    assert (row.ours_cpu_ms, row.theirs_cpu_ms, row.cpu_ratio, row.spread) == (1.5, 2.25, 0.65, (0.5, 0.8))
    assert row.rate_ratio == 2.0


@pytest.mark.parametrize(
    ("pairs", "message"), [([], "no answer in any window"), ([(figures(1, 1.0), figures(1, None))], "no CPU time")]
)
def test_windows_without_answers_or_cpu_time_are_refused(
    pairs: list[tuple[SideFigures, SideFigures]], message: str
) -> None:
    with pytest.raises(BenchFailed, match=message):
        tree_row(level(*pairs))
