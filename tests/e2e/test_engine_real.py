"""The managed vLLM does what every engine does, and survives what only a real one suffers."""

from __future__ import annotations

import asyncio
import os
import re
import signal

import pytest

from engine.errors import EngineRefused, EngineUnavailable
from engine.managed import ManagedEngine
from engine.protocol import Image
from tests.contract.engine_suite import LONG, EngineSuite, Subject, asked

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]


async def running(engine: ManagedEngine) -> int:
    """Requests that vLLM itself says it is working on, waiting ones included."""
    return await _metric(engine, r"vllm:num_requests_(?:running|waiting)\{.*\}")


async def aborted(engine: ManagedEngine) -> int:
    return await _metric(engine, r'vllm:request_success_total\{.*finished_reason="abort".*\}')


async def _metric(engine: ManagedEngine, name: str) -> int:
    """The sum of the matching samples, after one more token: an idle vLLM does not bring its metrics up to date."""
    await engine.generate(asked("1", max_tokens=1))
    return sum(int(float(value)) for value in re.findall(rf"^{name} (\S+)$", await engine.metrics(), re.MULTILINE))


@pytest.fixture
def subject(managed_engine: ManagedEngine) -> Subject:
    return Subject(
        engine=managed_engine, running=lambda: running(managed_engine), aborted=lambda: aborted(managed_engine)
    )


class TestManagedEngine(EngineSuite):
    pass


async def test_an_image_that_it_cannot_decode_is_refused(managed_engine: ManagedEngine) -> None:
    with pytest.raises(EngineRefused):
        await managed_engine.generate(asked(Image(data=b"no photo", media_type="image/jpeg", digest="0" * 64), "看图"))


async def test_a_prompt_that_is_too_long_is_refused(managed_engine: ManagedEngine) -> None:
    with pytest.raises(EngineRefused):
        await managed_engine.generate(asked("长\n" * 20_000))


async def test_a_grammar_that_is_none_is_refused(managed_engine: ManagedEngine) -> None:
    with pytest.raises(EngineRefused, match="grammar"):
        await managed_engine.generate(asked(grammar="root ::= ("))


@pytest.mark.parametrize("victim", ["API server", "engine core"])
async def test_killed_under_load_it_says_so_and_comes_back(managed_engine: ManagedEngine, victim: str) -> None:
    restarts = (await managed_engine.health()).restarts
    tasks = [asyncio.create_task(managed_engine.generate(LONG)) for _ in range(8)]
    async with asyncio.timeout(60):
        while await running(managed_engine) < 8:
            await asyncio.sleep(0.05)
    assert managed_engine.pid
    os.kill(managed_engine.pid if victim == "API server" else _engine_core(managed_engine.pid), signal.SIGKILL)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, EngineUnavailable) for outcome in outcomes), outcomes
    with pytest.raises(EngineUnavailable, match="engine"):
        await managed_engine.generate(asked())
    async with asyncio.timeout(30):
        while (await managed_engine.health()).restarts == restarts:
            await asyncio.sleep(0.05)
    await managed_engine.wait_until_ready()
    assert (await managed_engine.generate(asked())).completions


def _engine_core(parent: int) -> int:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline") as cmdline, open(f"/proc/{name}/stat") as stat:
                    core, ppid = "EngineCore" in cmdline.read(), int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if core and ppid == parent:
                return int(name)
    raise AssertionError("no engine core")
