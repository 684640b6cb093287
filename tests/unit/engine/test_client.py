"""What the client makes of a server that misbehaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.client import VllmClient
from engine.errors import EngineError, EngineFailed, EngineOverloaded, EngineRefused, EngineTimeout, EngineUnavailable
from engine.protocol import DecodingParams, Delta, GenerateRequest
from engine.scripted import ScriptedEngine
from tests.support.fake_vllm import FakeVllm, Reply, vllm_error

ASKED = GenerateRequest(
    request_id="r", system="", user=("问",), decoding=DecodingParams(max_new_tokens=100), timeout_s=30
)
SEPARATORS = "一\u2028二\x85三\x0b四\n五\r\n六"


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeVllm]:
    fake = FakeVllm(ScriptedEngine(lambda request, index: SEPARATORS))
    await fake.start(tmp_path / "s")
    yield fake
    await fake.stop()


@pytest.fixture
async def client(fake: FakeVllm, tmp_path: Path) -> AsyncIterator[VllmClient]:
    client = VllmClient(tmp_path / "s", "fake")
    yield client
    await client.aclose()


class Once:
    """Misbehaves on the first request only."""

    def __init__(self, reply: Reply | str | None) -> None:
        self.replies = [reply]

    def __call__(self, body: dict[str, Any]) -> Reply | str | None:
        return self.replies.pop() if self.replies else "go on"


async def asked(client: VllmClient, stream: bool) -> str:
    if stream:
        return "".join([delta.text async for delta in client.stream(ASKED)])
    return (await client.generate(ASKED)).completions[0].text


@pytest.mark.parametrize("stream", [False, True])
async def test_line_separators_in_an_answer_survive(client: VllmClient, stream: bool) -> None:
    assert await asked(client, stream) == SEPARATORS


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "reply",
    [None, vllm_error(503, "ServiceUnavailableError"), vllm_error(500, "InternalServerError"), (502, {}, b"<html>")],
    ids=["connection lost", "transient", "failed", "proxy"],
)
async def test_what_may_pass_is_tried_once_more(
    fake: FakeVllm, client: VllmClient, reply: Reply | None, stream: bool
) -> None:
    fake.before = Once(reply)
    assert await asked(client, stream) == SEPARATORS
    assert len(fake.bodies) == 2
    assert fake.bodies[0] == fake.bodies[1]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (None, EngineUnavailable),
        (vllm_error(503, "ServiceUnavailableError"), EngineUnavailable),
        (vllm_error(500, "InternalServerError"), EngineFailed),
    ],
)
async def test_the_second_failure_is_the_caller_s(
    fake: FakeVllm, client: VllmClient, reply: Reply | None, error: type[EngineError], stream: bool
) -> None:
    fake.before = lambda body: reply
    with pytest.raises(error):
        await asked(client, stream)
    assert len(fake.bodies) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (vllm_error(400, "BadRequestError", "too long"), EngineRefused),
        (vllm_error(503, "Service Unavailable", "queue is full"), EngineOverloaded),
        (vllm_error(404, "NotFoundError", "no such model"), EngineUnavailable),
    ],
)
async def test_what_cannot_pass_is_not_tried_again(
    fake: FakeVllm, client: VllmClient, reply: Reply, error: type[EngineError], stream: bool
) -> None:
    fake.before = lambda body: reply
    with pytest.raises(error):
        await asked(client, stream)
    assert len(fake.bodies) == 1


async def test_an_engine_known_to_be_down_is_not_tried_again(fake: FakeVllm, tmp_path: Path) -> None:
    fake.before = lambda body: None
    client = VllmClient(tmp_path / "s", "fake", down_reason=lambda: "it exited")
    with pytest.raises(EngineUnavailable):
        await client.generate(ASKED)
    assert len(fake.bodies) == 1
    await client.aclose()


async def test_the_deadline_holds_for_both_attempts_together(fake: FakeVllm, client: VllmClient) -> None:
    fake.before = lambda body: None
    with pytest.raises(EngineTimeout):
        await client.generate(
            GenerateRequest(request_id="r", system="", user=("问",), decoding=ASKED.decoding, timeout_s=0.1)
        )
    assert len(fake.bodies) == 1


def streamed(*events: object, complete: bool = True) -> Reply:
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return 200, {"Content-Type": "text/event-stream"}, data + (b"data: [DONE]\n\n" if complete else b"")


def piece(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}]}


ERROR = {"error": {"message": "broke", "type": "InternalServerError", "code": 500}}


async def test_a_stream_that_fails_before_its_first_delta_is_tried_again(fake: FakeVllm, client: VllmClient) -> None:
    fake.before = Once(streamed(piece(""), ERROR))
    assert await asked(client, stream=True) == SEPARATORS


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (streamed(piece("a"), ERROR), EngineFailed),
        (streamed(piece("a"), complete=False), EngineUnavailable),
        (streamed(piece("a"), piece("b", "abort")), EngineUnavailable),
    ],
)
async def test_a_stream_that_fails_later_is_not(
    fake: FakeVllm, client: VllmClient, reply: Reply, error: type[EngineError]
) -> None:
    fake.before = lambda body: reply
    seen = []

    async def read() -> None:
        async for delta in client.stream(ASKED):
            seen.append(delta)

    with pytest.raises(error):
        await read()
    assert seen == [Delta(text="a")]
    assert len(fake.bodies) == 1


async def test_the_last_delta_holds_the_text_that_came_with_the_finish_reason(
    fake: FakeVllm, client: VllmClient
) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    fake.before = lambda body: streamed(piece("a"), piece("b", "length"), usage)
    assert [delta async for delta in client.stream(ASKED)] == [
        Delta(text="a"),
        Delta(text="b", finish_reason="length", prompt_tokens=3, completion_tokens=2),
    ]


async def test_an_answer_that_is_no_json_is_a_failure(fake: FakeVllm, client: VllmClient) -> None:
    fake.before = lambda body: (200, {}, b"<html>")
    with pytest.raises(EngineFailed, match="not JSON"):
        await client.generate(ASKED)


async def test_connections_are_used_again(fake: FakeVllm, client: VllmClient) -> None:
    for stream in (False, True, True, False):
        await asked(client, stream)
    assert fake.connections == 1


async def test_nothing_queues_below_the_service_s_own_admission(fake: FakeVllm, tmp_path: Path) -> None:
    fake.engine = ScriptedEngine(latency_s=3600)
    client = VllmClient(tmp_path / "s", "fake")
    tasks = [asyncio.create_task(client.generate(ASKED)) for _ in range(200)]
    while fake.engine.in_flight < 200:
        await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.aclose()


async def test_nobody_there(tmp_path: Path) -> None:
    client = VllmClient(tmp_path / "nobody", "fake")
    assert not (await client.health()).ready
    with pytest.raises(EngineUnavailable, match="nobody"):
        await client.generate(ASKED)
    with pytest.raises(EngineUnavailable):
        await client.metrics()
    await client.aclose()


async def test_a_closed_client_says_so(client: VllmClient) -> None:
    await client.aclose()
    with pytest.raises(EngineUnavailable, match="closed"):
        await client.generate(ASKED)
    assert not (await client.health()).ready


async def test_health_and_metrics_are_the_server_s(fake: FakeVllm, client: VllmClient) -> None:
    assert (await client.health()).ready
    assert "vllm:num_requests_running 0" in await client.metrics()
    fake.healthy = False
    health = await client.health()
    assert not health.ready
    assert "dead" in health.reason
