"""The HTTP service on the real vLLM: what a client sees, in good times and in bad ones."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import httpx
import pytest
from PIL import Image

from scenes.scene import draw_scene
from service.app.http import create_app
from service.models.observe import ModelObserver
from service.models.response_cache import ResponseCache
from service.models.response_cache_memory import MemoryResponses
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.photos.schemas import CaptionOut, StageAOut, StreamedObject
from service.platform.server import server
from tests.support import photos
from tests.support.managed_engines import flag
from tests.support.ports import free_port
from tests.support.service_context import context_with

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

ROOT = Path(__file__).parents[2]
SHORT = {"max_new_tokens": "200"}


def photo(seed: int) -> bytes:
    return photos.encoded(draw_scene(seed, size_wh=(512, 384)).image, "JPEG", quality=90)


@pytest.fixture(scope="session")
def scene() -> bytes:
    return photo(1)


@asynccontextmanager
async def served(engine, models: ModelRouter | None = None) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A client of the API served on a real socket."""
    context = context_with(engine, max_body_bytes=2**25, timeout_s=120, models=models)
    http = server(
        create_app(context),
        context.web.admission,
        context.web.server,
        host="127.0.0.1",
        port=0,
        drain_delay_s=0,
        drain_timeout_s=30,
    )
    http.capture_signals = nullcontext  # the test process keeps its own
    task = asyncio.ensure_future(http.serve())
    while not http.started:
        await asyncio.sleep(0.01)
    port = http.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            yield client
    finally:
        http.should_exit = True
        await task


async def captioned(client: httpx.AsyncClient, data: bytes, **options) -> httpx.Response:
    return await client.post(
        "/caption", files={"photo": ("a.jpg", data)}, params=SHORT | options.pop("params", {}), **options
    )


async def test_caption_as_json_stream_and_overlay(managed_engine, scene):
    async with served(managed_engine) as client:
        whole = CaptionOut.model_validate_json((await captioned(client, scene)).content)
        streamed = await captioned(client, scene, headers={"Accept": "text/event-stream"})
        overlay = await captioned(client, scene, params={"render": "overlay"})
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in streamed.text.strip().split("\n\n")]
    objects = [StreamedObject.model_validate_json(event["data"]) for event in events if event["event"] == "object"]
    done = CaptionOut.model_validate_json(events[-1]["data"])
    assert whole.usage.prompt_tokens > 100
    assert done.caption == whole.caption
    assert len(objects) == len(whole.caption)
    with Image.open(io.BytesIO(overlay.content)) as image:
        assert image.width >= 512


async def test_thirty_two_at_once_all_follow_the_grammar(managed_engine):
    async with served(managed_engine) as client:
        answers = await asyncio.gather(*(captioned(client, photo(seed)) for seed in range(32)))
    captions = [CaptionOut.model_validate_json(answer.content) for answer in answers]
    assert len(captions) == 32
    for caption in captions:
        assert (
            caption.truncated
            or set(caption.notes) <= {"spelling or order differs from the canonical form"}
            or all("swapped corners" in note for note in caption.notes)
        )


async def test_stage_a_lines_follow_the_grammar_and_the_order(managed_engine, scene):
    files = [("photos", (f"{n}.jpg", photo(n))) for n in range(3)] + [("photos", ("bad.jpg", scene[:900]))]
    async with served(managed_engine) as client:
        answer = await client.post("/stage-a", data={"mission": "挡风板安装检查"}, files=files)
    entries = StageAOut.model_validate_json(answer.content).photos
    assert [entry.name for entry in entries] == ["0.jpg", "1.jpg", "2.jpg", "bad.jpg"]
    assert all(entry.summary for entry in entries[:3])
    assert entries[3].problem is not None


async def test_a_repeated_photo_gets_its_line_without_the_engine(managed_engine, scene):
    responses = ResponseCache(MemoryResponses(keep_s=600, most=10), ModelObserver())
    models = ModelRouter.of(managed_engine, ServedModel(alias="tiny", digest="t" * 64), responses=responses)
    answered = "vllm:request_success_total{"
    async with served(managed_engine, models) as client:

        async def line():
            files = {"photos": ("a.jpg", scene)}
            answer = await client.post("/stage-a", data={"mission": "挡风板安装检查"}, files=files)
            return StageAOut.model_validate_json(answer.content).photos[0]

        first, before = await line(), await sum_of(managed_engine, answered)
        second = await line()
    assert (first.cached, second.cached) == (False, True)
    assert second.summary == first.summary
    assert await sum_of(managed_engine, answered) == before


async def sum_of(engine, *series: str) -> int:
    """The sum of the engine's own metrics whose line starts with one of ``series``."""
    lines = [line for line in (await engine.metrics()).splitlines() if line.startswith(series)]
    return sum(int(float(line.split()[-1])) for line in lines)


async def in_engine(engine) -> int:
    return await sum_of(engine, "vllm:num_requests_running{", "vllm:num_requests_waiting{")


async def until(condition, seconds: float = 120):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_client_that_leaves_frees_its_slot_in_the_engine(managed_engine, accept):
    finished = [f'vllm:request_success_total{{engine="0",finished_reason="{how}"' for how in ("stop", "length")]
    before = await sum_of(managed_engine, *finished)
    first = (
        100 if accept == "application/json" else 150
    )  # photos that the engine has not seen, so that it takes a while
    many = [photo(seed) for seed in range(first, first + 48)]
    async with served(managed_engine) as client:
        tasks = [
            asyncio.ensure_future(
                captioned(client, data, params={"max_new_tokens": "4000"}, headers={"Accept": accept})
            )
            for data in many
        ]

        async def is_busy():
            return await in_engine(managed_engine) >= 4

        async def is_free():
            return await in_engine(managed_engine) == 0

        await until(is_busy)
        for task in tasks:
            task.cancel()
        await until(is_free)
    assert await sum_of(managed_engine, *finished) - before <= 44


async def test_sigterm_with_eight_in_flight_loses_none(managed_engine, scene):
    port = free_port()
    env = os.environ | {
        "VQC_ENGINE_URL": f"unix://{flag(managed_engine, '--uds')}",
        "VQC_MODEL_ALIAS": flag(managed_engine, "--served-model-name"),
        "VQC_PORT": str(port),
        "VQC_DRAIN_DELAY_S": "0.5",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service.cli", "api", env=env, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

            async def is_ready():
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx.ConnectError:
                    return False

            async def is_busy():
                """All have arrived, and the engine still works on some: on a busy machine the first may be answered already."""
                text = (await client.get("/metrics")).text
                in_flight = int(float(re.search(r"^vqc_requests_in_flight (\S+)$", text, re.MULTILINE)[1]))
                return in_flight > 0 and in_flight + sum(task.done() for task in tasks) >= 8

            await until(is_ready)
            tasks = [
                asyncio.ensure_future(captioned(client, photo(seed), params={"max_new_tokens": "2000"}))
                for seed in range(8)
            ]
            await until(is_busy)
            process.send_signal(signal.SIGTERM)
            answers = await asyncio.gather(*tasks)
        assert [answer.status_code for answer in answers] == [200] * 8
        assert await asyncio.wait_for(process.wait(), 120) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_demonstration_shows_every_sample_photo(managed_engine):
    env = os.environ | {
        "VQC_ENGINE_URL": f"unix://{flag(managed_engine, '--uds')}",
        "VQC_MODEL_ALIAS": flag(managed_engine, "--served-model-name"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.demo", env=env, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed = (await asyncio.wait_for(process.communicate(), 200))[0].decode()
    assert process.returncode == 0, printed
    names = [path.stem for path in (ROOT / "deploy" / "demo" / "photos").iterdir()]
    assert len(names) >= 7
    for name in names:
        assert printed.count(f"{name}.jpg") >= 2  # its objects and its line
        assert (ROOT / "output" / "demo" / f"{name}.overlay.png").exists()
    assert "the API: http://127.0.0.1:" in printed
    assert "/console" in printed


async def test_an_engine_killed_under_load_answers_503_and_comes_back(managed_engine, scene):
    async with served(managed_engine) as client:
        tasks = [
            asyncio.ensure_future(captioned(client, data, params={"max_new_tokens": "4000"}))
            for data in map(photo, range(200, 248))
        ]

        async def is_running():
            return await in_engine(managed_engine) >= 4

        await until(is_running)
        os.killpg(managed_engine.pid, signal.SIGKILL)
        answers = await asyncio.gather(*tasks)
        lost = [answer for answer in answers if answer.status_code != 200]
        assert len(lost) >= 4
        assert {(answer.status_code, answer.json()["type"]) for answer in lost} == {
            (503, "urn:vqc:problem:engine-unavailable")
        }
        meanwhile, ready = await captioned(client, scene), await client.get("/readyz")
        assert (meanwhile.status_code, ready.status_code) == (503, 503)
        assert "engine" in json.dumps(ready.json()["reasons"])
        assert int(meanwhile.headers["retry-after"]) >= 1

        async def is_ready():
            return (await client.get("/readyz")).status_code == 200

        await until(is_ready, 240)
        assert (await captioned(client, scene)).status_code == 200
        assert (await client.get("/readyz")).json()["engine_restarts"] == 1
