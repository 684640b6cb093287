"""What every engine does, whichever adapter it is. A subclass names an adapter by its ``subject`` fixture."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
from PIL import Image as Pillow

from engine.errors import EngineRefused, EngineTimeout
from engine.plausible import plausible_answer
from engine.protocol import DecodingParams, Delta, Engine, GenerateRequest
from vqc import parser, summary, verdict
from vqc.grammar import CAPTION_GRAMMAR, SUMMARY_GRAMMAR, VERDICT_GRAMMAR
from vqc.image import EncodedPhoto
from vqc.parser import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An engine to be tested, how many generations it is working on and how many it has completed so far."""

    engine: Engine
    running: Callable[[], Awaitable[int]]
    completed: Callable[[], Awaitable[int]]


def photo(color: str = "gray") -> EncodedPhoto:
    data = io.BytesIO()
    Pillow.new("RGB", (320, 256), color).save(data, "PNG")
    return EncodedPhoto(data=data.getvalue(), media_type="image/png", digest=sha256(data.getvalue()).hexdigest())


def asked(
    *user: EncodedPhoto | str, grammar: str | None = None, timeout_s: float = 120, n: int = 1, **decoding: float
) -> GenerateRequest:
    return GenerateRequest(
        request_id="suite",
        system="你是质检助手。",
        user=user or ("请描述图片。",),
        decoding=DecodingParams(**{"max_new_tokens": 24, **decoding}),  # pyright: ignore[reportArgumentType]
        n=n,
        grammar=grammar,
        timeout_s=timeout_s,
    )


LONG = asked("请写一篇长文。", grammar='root ::= "长" root', max_new_tokens=6000)
"""A request whose answer only ends at its last token."""


def long_or_plausible(request: GenerateRequest, index: int) -> str:
    return "长。" * 2000 if request.user == LONG.user else plausible_answer(request, index)


class EngineSuite:
    async def test_is_ready(self, subject: Subject) -> None:
        assert (await subject.engine.health()).ready

    async def test_answers_a_photo_with_its_token_counts(self, subject: Subject) -> None:
        with_photo = await subject.engine.generate(asked(photo(), "请描述图片。"))
        without = await subject.engine.generate(asked("请描述图片。"))
        assert len(with_photo.completions) == 1
        assert with_photo.completions[0].index == 0
        assert with_photo.prompt_tokens > without.prompt_tokens > 0
        assert with_photo.completion_tokens > 0

    async def test_sixteen_photos_fit_one_turn(self, subject: Subject) -> None:
        photos = [photo(f"rgb({n}, 0, 0)") for n in range(16)]
        assert (await subject.engine.generate(asked("任务", *photos, "请给出结论。", max_new_tokens=2))).completions

    async def test_a_greedy_answer_repeats_itself(self, subject: Subject) -> None:
        request = asked(photo(), "请描述图片。", grammar=SUMMARY_GRAMMAR)
        first = await subject.engine.generate(request)
        assert await subject.engine.generate(request) == first

    async def test_child_i_of_seed_s_is_the_single_run_of_seed_s_plus_i(self, subject: Subject) -> None:
        children = await subject.engine.generate(asked(n=3, seed=40, temperature=1.0))
        assert [completion.index for completion in children.completions] == [0, 1, 2]
        alone = await subject.engine.generate(asked(seed=42, temperature=1.0))
        assert children.completions[2].text == alone.completions[0].text
        assert len({completion.text for completion in children.completions}) > 1

    async def test_several_greedy_answers_are_refused(self, subject: Subject) -> None:
        with pytest.raises(EngineRefused, match="greedy"):
            await subject.engine.generate(asked(n=2))

    async def test_a_caption_follows_its_grammar(self, subject: Subject) -> None:
        request = asked(photo(), "请描述图片。", grammar=CAPTION_GRAMMAR, max_new_tokens=4000)
        (answer,) = (await subject.engine.generate(request)).completions
        assert answer.finish_reason == "stop"
        assert parser.parse(answer.text).status is not Status.MALFORMED

    async def test_a_line_follows_its_grammar(self, subject: Subject) -> None:
        request = asked(grammar=SUMMARY_GRAMMAR, max_new_tokens=4000, temperature=1.0, seed=3)
        (answer,) = (await subject.engine.generate(request)).completions
        assert summary.parse(answer.text).status is Status.PARSED

    async def test_verdicts_follow_their_grammar(self, subject: Subject) -> None:
        request = asked(grammar=VERDICT_GRAMMAR, max_new_tokens=4000, n=4, temperature=1.0, seed=7)
        for answer in (await subject.engine.generate(request)).completions:
            assert verdict.parse(answer.text).status is not Status.MALFORMED

    async def test_an_answer_that_is_too_long_is_cut(self, subject: Subject) -> None:
        (answer,) = (await subject.engine.generate(asked(grammar=VERDICT_GRAMMAR, max_new_tokens=3))).completions
        assert answer.finish_reason == "length"

    async def test_a_stream_says_what_the_whole_answer_says(self, subject: Subject) -> None:
        request = asked(photo(), "请描述图片。", grammar=CAPTION_GRAMMAR, max_new_tokens=4000)
        deltas = [delta async for delta in subject.engine.stream(request)]
        whole = await subject.engine.generate(request)
        assert "".join(delta.text for delta in deltas) == whole.completions[0].text
        assert all(delta == Delta(text=delta.text) for delta in deltas[:-1])
        assert deltas[-1].finish_reason == whole.completions[0].finish_reason
        assert deltas[-1].prompt_tokens == whole.prompt_tokens
        assert deltas[-1].completion_tokens == whole.completion_tokens

    async def test_a_stream_is_cut_as_a_whole_answer_is(self, subject: Subject) -> None:
        deltas = [delta async for delta in subject.engine.stream(asked(grammar=VERDICT_GRAMMAR, max_new_tokens=3))]
        assert deltas[-1].finish_reason == "length"

    async def test_the_deadline_ends_an_answer(self, subject: Subject) -> None:
        with pytest.raises(EngineTimeout) as raised:
            await subject.engine.generate(replace(LONG, timeout_s=0.01))
        assert raised.value.timeout_s == 0.01
        await _until(subject.running, 0)

    async def test_the_deadline_ends_a_stream(self, subject: Subject) -> None:
        async def read() -> None:
            async for _ in subject.engine.stream(replace(LONG, timeout_s=1)):
                pass

        with pytest.raises(EngineTimeout):
            await read()
        await _until(subject.running, 0)

    async def test_the_deadline_counts_while_the_caller_works(self, subject: Subject) -> None:
        async def read_slowly() -> None:
            async for _ in subject.engine.stream(replace(LONG, timeout_s=1)):
                await asyncio.sleep(1.1)

        with pytest.raises(EngineTimeout):
            await read_slowly()
        await _until(subject.running, 0)

    async def test_cancelling_aborts_the_generation(self, subject: Subject) -> None:
        before = await subject.completed()
        task = asyncio.create_task(subject.engine.generate(LONG))
        await _until(subject.running, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _until(subject.running, 0)
        assert await subject.completed() == before

    async def test_closing_a_stream_aborts_the_generation(self, subject: Subject) -> None:
        before = await subject.completed()
        async with aclosing(subject.engine.stream(LONG)) as deltas:
            await anext(deltas)
        await _until(subject.running, 0)
        assert await subject.completed() == before

    async def test_cancelling_a_stream_aborts_the_generation(self, subject: Subject) -> None:
        async def read() -> None:
            async for _ in subject.engine.stream(LONG):
                pass

        before = await subject.completed()
        task = asyncio.create_task(read())
        await _until(subject.running, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _until(subject.running, 0)
        assert await subject.completed() == before

    async def test_many_at_once_are_kept_apart(self, subject: Subject) -> None:
        requests = [asked(f"第{n}个", temperature=1.0, seed=n) for n in range(32)]
        together = await asyncio.gather(*map(subject.engine.generate, requests))
        assert len(together) == 32
        assert len({answer.completions[0].text for answer in together}) > 16


async def _until(count: Callable[[], Awaitable[int]], expected: int) -> None:
    async with asyncio.timeout(120):
        while await count() != expected:
            await asyncio.sleep(0.01)
