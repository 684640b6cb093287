"""The managed vLLM does what every engine does, and survives what only a real one suffers."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.errors import EngineRefused, EngineUnavailable
from engine.managed import ManagedEngine
from engine.protocol import GenerateRequest
from loadtest.photo_mutations import whole_photos
from tests.support import photos
from tests.support.engine_suite import LONG, EngineSuite, Subject, asked
from vqc.image import EncodedPhoto, canonical_photo, canonical_pixels

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]


RUNNING = r"vllm:num_requests_(?:running|waiting)\{.*\}"
SUCCEEDED = r"vllm:request_success_total\{.*\}"
GUESSED = r"vllm:spec_decode_num_accepted_tokens_total\{.*\}"


class Gauge:
    """vLLM's own metrics, read after one more token each time: an idle vLLM does not bring them up to date."""

    def __init__(self, engine: ManagedEngine) -> None:
        self._engine = engine
        self._pokes = 0

    async def running(self) -> int:
        return await self._sum(RUNNING)

    async def completed(self) -> int:
        return await self._sum(SUCCEEDED) - self._pokes

    async def guessed(self) -> int:
        return await self._sum(GUESSED)

    async def _sum(self, name: str) -> int:
        await self._engine.generate(asked("1", max_new_tokens=1))
        self._pokes += 1
        samples = re.findall(rf"^{name} (\S+)$", await self._engine.metrics(), re.MULTILINE)
        return sum(int(float(value)) for value in samples)


@pytest.fixture
def subject(managed_engine: ManagedEngine) -> Subject:
    gauge = Gauge(managed_engine)
    return Subject(engine=managed_engine, running=gauge.running, completed=gauge.completed)


class TestManagedEngine(EngineSuite):
    pass


async def test_an_image_that_it_cannot_decode_is_refused(managed_engine: ManagedEngine) -> None:
    with pytest.raises(EngineRefused):
        await managed_engine.generate(
            asked(EncodedPhoto(data=b"no photo", media_type="image/jpeg", digest="0" * 64), "看图")
        )


async def test_it_sees_in_the_bytes_that_it_is_sent_what_the_trainer_sees(managed_engine: ManagedEngine) -> None:
    """Turned, translucent, CMYK and AVIF photos pass through unchanged, and are answered as their canonical pixels are."""

    async def answer(data: bytes) -> str:
        request = asked(canonical_photo(data), "看图", max_new_tokens=12, temperature=0.0)
        return (await managed_engine.generate(request)).completions[0].text

    whole, answers = whole_photos(), set()
    for name in ("jpeg metadata", "jpeg cmyk", "png alpha", "webp metadata", "avif"):
        canonical = photos.encoded(canonical_pixels(whole[name]))
        assert canonical_photo(whole[name]).data is whole[name]
        answers.add(text := await answer(whole[name]))
        assert text == await answer(canonical), name
    assert len(answers) > 1  # the engine looks at them


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
    async with asyncio.timeout(120):
        while await Gauge(managed_engine).running() < 8:
            await asyncio.sleep(0.05)
    assert managed_engine.pid
    os.kill(managed_engine.pid if victim == "API server" else _engine_core(managed_engine.pid), signal.SIGKILL)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, EngineUnavailable) for outcome in outcomes), outcomes
    with pytest.raises(EngineUnavailable, match="engine"):
        await managed_engine.generate(asked())
    async with asyncio.timeout(120):
        while (await managed_engine.health()).restarts == restarts:
            await asyncio.sleep(0.05)
    await managed_engine.wait_until_ready()
    assert (await managed_engine.generate(asked())).completions


async def test_an_answer_names_the_server_as_it_was_told(managed_engine):
    whole = await managed_engine.generate(asked())
    deltas = [delta async for delta in managed_engine.stream(asked())]
    assert whole.model == deltas[-1].model == "tiny"


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


async def test_guessing_ahead_changes_no_answer(managed_engine: ManagedEngine) -> None:
    """An engine that has seen an answer guesses it: what it says alone, together and under a seed stays the same."""
    greedy = [asked(f"第{n}张", grammar="root ::= [甲乙丙丁] root", max_new_tokens=120) for n in range(6)]
    sampled = [replace(one, decoding=replace(one.decoding, temperature=0.8, seed=n)) for n, one in enumerate(greedy)]

    async def said(requests: Sequence[GenerateRequest]) -> list[str]:
        return [one.completions[0].text for one in await asyncio.gather(*map(managed_engine.generate, requests))]

    first = [(await said([one]))[0] for one in (*greedy, *sampled)]
    gauge = Gauge(managed_engine)
    before = await gauge.guessed()
    assert await said([*greedy, *sampled]) == first
    assert await gauge.guessed() - before > 6 * 120 / 4  # tokens of the greedy ones; by then it knows what is coming


async def test_seeded_samples_survive_prompts_that_are_read_in_pieces(managed_engine: ManagedEngine) -> None:
    """vLLM would end a CPU engine here; see ``engine.cpu_server``."""
    texts = [f"{n}：" + "光纤有保护措施。" * 150 for n in range(32)]  # no two begin alike: none is read from the cache
    requests = [asked(text, f"{n}", max_new_tokens=4, temperature=0.7, seed=n) for n, text in enumerate(texts)]
    answers = await asyncio.gather(*map(managed_engine.generate, requests))
    assert [len(answer.completions) for answer in answers] == [1] * 32
    again = await managed_engine.generate(requests[0])
    assert again.completions[0].text == answers[0].completions[0].text
