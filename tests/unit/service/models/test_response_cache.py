"""Identical requests to one model version are answered from the store; all others go to the engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic

import pytest

from engine.errors import EngineFailed, EngineTimeout
from engine.protocol import DecodingParams, GenerateRequest
from engine.scripted import ScriptedEngine
from service.models import response_cache
from service.models.deployment import Deployment
from service.models.observe import ModelObserver
from service.models.response_cache import ResponseCache
from service.models.response_cache_memory import MemoryResponses
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.platform.errors import QueueUnavailable
from service.platform.shares import Role
from tests.support import photos
from tests.support.service_context import client_of, context_with
from vqc.grammar import CAPTION_GRAMMAR, SUMMARY_GRAMMAR, VERDICT_GRAMMAR
from vqc.image import EncodedPhoto

CAPTION = '{"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}}'
PHOTO = EncodedPhoto(data=b"photo", media_type="image/jpeg", digest="a" * 64)
REQUEST = GenerateRequest(
    request_id="r",
    system="system",
    user=(PHOTO, "what is it?"),
    decoding=DecodingParams(max_new_tokens=200),
    grammar=CAPTION_GRAMMAR,
    timeout_s=120,
)


class Lookups(ModelObserver):
    """Remembers the lookups."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def record_lookup(self, lookup) -> None:
        self.seen.append(lookup)


@pytest.fixture
def lookups() -> Lookups:
    return Lookups()


@pytest.fixture
def responses(lookups) -> ResponseCache:
    return ResponseCache(MemoryResponses(keep_s=60, most=100), lookups)


def scripted(text: str = CAPTION, **options) -> ScriptedEngine:
    return ScriptedEngine(lambda request, index: text, **options)


async def streamed(engine, request=REQUEST):
    return [delta async for delta in engine.stream(request)]


async def test_an_identical_request_is_answered_without_the_engine(responses, lookups):
    inner = scripted()
    first, second = [
        await responses.wrap(inner, "m").generate(request)
        for request in (REQUEST, replace(REQUEST, request_id="other"))
    ]
    assert inner.answered == 1
    assert second == replace(first, cached=True)
    assert lookups.seen == ["miss", "hit"]


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, user=(replace(PHOTO, digest="b" * 64), "what is it?")),
        replace(REQUEST, user=(PHOTO, "what else is it?")),
        replace(REQUEST, system="another system"),
        replace(REQUEST, grammar=SUMMARY_GRAMMAR),
        replace(REQUEST, decoding=DecodingParams(max_new_tokens=201)),
        replace(REQUEST, decoding=DecodingParams(max_new_tokens=200, repetition_penalty=1.1)),
    ],
    ids=["photo", "words", "system", "task", "max_new_tokens", "repetition_penalty"],
)
async def test_another_request_goes_to_the_engine(responses, other):
    inner = scripted("BBU设备×1") if other.grammar == SUMMARY_GRAMMAR else scripted()
    await responses.wrap(inner, "m").generate(REQUEST)
    assert not (await responses.wrap(inner, "m").generate(other)).cached
    assert inner.answered == 2


async def test_another_model_or_other_engine_settings_go_to_the_engine(lookups):
    store, inner = MemoryResponses(keep_s=60, most=100), scripted()
    for digest, served_as in (("m", "bf16"), ("n", "bf16"), ("m", "fp8")):
        assert not (
            await ResponseCache(store, lookups, served_as=served_as).wrap(inner, digest).generate(REQUEST)
        ).cached
    assert inner.answered == 3


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, decoding=DecodingParams(max_new_tokens=200, temperature=0.1, seed=7)),
        replace(REQUEST, decoding=DecodingParams(max_new_tokens=200, temperature=0.1), n=2),
        replace(REQUEST, grammar=VERDICT_GRAMMAR),
        replace(REQUEST, grammar=None),
    ],
    ids=["sampled", "several", "verdict", "free"],
)
async def test_requests_without_a_deterministic_answer_are_not_looked_up(responses, lookups, request_):
    inner = scripted()
    for _ in range(2):
        await responses.wrap(inner, "m").generate(request_)
        await streamed(responses.wrap(inner, "m"), replace(request_, n=1))
    assert inner.answered == 4
    assert lookups.seen == []


@pytest.mark.parametrize(
    ("text", "grammar", "max_new_tokens"),
    [
        (CAPTION, CAPTION_GRAMMAR, 20),
        (CAPTION[:-2], CAPTION_GRAMMAR, 200),
        ("I see a cabinet", CAPTION_GRAMMAR, 200),
        ("", SUMMARY_GRAMMAR, 200),
        ("BBU设备×1", SUMMARY_GRAMMAR, 2),
    ],
    ids=["cut caption", "caption without an end", "no caption", "no line", "cut line"],
)
async def test_incomplete_and_unreadable_answers_are_not_stored(responses, lookups, text, grammar, max_new_tokens):
    inner, request = (
        scripted(text),
        replace(REQUEST, grammar=grammar, decoding=DecodingParams(max_new_tokens=max_new_tokens)),
    )
    await responses.wrap(inner, "m").generate(request)
    await streamed(responses.wrap(inner, "m"), request)
    await responses.wrap(inner, "m").generate(request)
    assert lookups.seen == ["miss"] * 3


class Named(ScriptedEngine):
    """An engine that names itself in its answers."""

    def __init__(self, name: str) -> None:
        super().__init__(lambda request, index: CAPTION)
        self.name = name

    async def generate(self, request):
        return replace(await super().generate(request), model=self.name)

    async def stream(self, request):
        async for delta in super().stream(request):
            yield replace(delta, model=self.name) if delta.finish_reason else delta


@pytest.mark.parametrize("ask", ["generate", "stream"])
async def test_answers_of_an_external_engine_are_stored_only_if_they_name_the_model(lookups, ask):
    responses = ResponseCache(MemoryResponses(keep_s=60, most=100), lookups, trusts_engine=False)
    old, new = Named("champion@sha256:old"), Named("champion@sha256:new")
    for engine in (old, Named("champion"), new, old):  # a router in front of engines that are replaced one by one
        pinned = responses.wrap(engine, "sha256:new")
        _ = await pinned.generate(REQUEST) if ask == "generate" else await streamed(pinned)
    assert lookups.seen == ["miss", "miss", "miss", "hit"]
    assert old.answered == 1


async def test_a_failure_is_not_stored(responses):
    failing = scripted(fail=lambda request: EngineFailed("broken"))
    for ask in (responses.wrap(failing, "m").generate, lambda request: streamed(responses.wrap(failing, "m"), request)):
        with pytest.raises(EngineFailed):
            await ask(REQUEST)
    assert not (await responses.wrap(scripted(), "m").generate(REQUEST)).cached


async def test_streams_and_whole_answers_share_the_cache(responses):
    inner = scripted()
    pieces = await streamed(responses.wrap(inner, "m"))
    assert len(pieces) > 1
    assert (await responses.wrap(inner, "m").generate(REQUEST)).cached
    (piece,) = await streamed(responses.wrap(inner, "m"))
    assert piece.cached
    assert piece.text == "".join(part.text for part in pieces)
    assert (piece.prompt_tokens, piece.completion_tokens) == (pieces[-1].prompt_tokens, pieces[-1].completion_tokens)
    assert inner.answered == 1


async def until(condition) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0)


async def test_identical_requests_at_the_same_time_share_one_generation(responses, lookups):
    inner = scripted(latency_s=0.05)
    answers = await asyncio.gather(*(responses.wrap(inner, "m").generate(REQUEST) for _ in range(5)))
    assert inner.answered == 1
    assert sorted(answer.cached for answer in answers) == [False, True, True, True, True]
    assert sorted(lookups.seen) == ["joined"] * 4 + ["miss"]


async def test_a_caller_that_leaves_does_not_cancel_the_answer_of_others(responses):
    inner = scripted(latency_s=0.2)
    first, second = [asyncio.create_task(responses.wrap(inner, "m").generate(REQUEST)) for _ in range(2)]
    await until(lambda: inner.in_flight)
    first.cancel()
    assert (await second).cached
    assert inner.aborted == 0


async def test_the_generation_is_aborted_when_all_callers_have_left(responses):
    inner = scripted(latency_s=60)
    tasks = [asyncio.create_task(responses.wrap(inner, "m").generate(REQUEST)) for _ in range(2)]
    await until(lambda: inner.in_flight)
    for task in tasks:
        task.cancel()
    await until(lambda: inner.aborted == 1)
    again = asyncio.create_task(responses.wrap(inner, "m").generate(REQUEST))
    await until(lambda: inner.in_flight)
    again.cancel()


async def test_a_failure_of_the_first_caller_is_not_that_of_the_second(responses):
    failing, working = scripted(latency_s=0.05, fail=lambda request: EngineFailed("broken")), scripted()
    first = asyncio.create_task(responses.wrap(failing, "m").generate(REQUEST))
    await until(lambda: failing.in_flight)
    assert (await responses.wrap(working, "m").generate(REQUEST)).completions[0].text == CAPTION
    with pytest.raises(EngineFailed):
        await first


async def test_a_joined_caller_keeps_its_own_deadline(responses):
    inner = scripted(latency_s=60)
    first = asyncio.create_task(responses.wrap(inner, "m").generate(replace(REQUEST, timeout_s=100)))
    await until(lambda: inner.in_flight)
    with pytest.raises(EngineTimeout):
        await responses.wrap(inner, "m").generate(replace(REQUEST, timeout_s=0.01))
    first.cancel()


async def test_an_unreachable_store_fails_no_request_and_is_not_called_for_a_while(lookups, monkeypatch):
    class Away:
        asked = 0

        async def get(self, key):
            self.asked += 1
            raise QueueUnavailable("gone")

        async def put(self, key, answer):
            await self.get(key)

    store, inner = Away(), scripted()
    responses = ResponseCache(store, lookups)
    for _ in range(3):
        await responses.wrap(inner, "m").generate(REQUEST)
        await streamed(responses.wrap(inner, "m"))
    assert inner.answered == 6
    assert store.asked == 1
    assert lookups.seen == ["unavailable"] * 6
    later = monotonic() + response_cache.STORE_PAUSE_S
    monkeypatch.setattr(response_cache, "monotonic", lambda: later)
    await responses.wrap(inner, "m").generate(REQUEST)
    assert store.asked == 2


def context_with_answers(engine):
    responses = ResponseCache(MemoryResponses(keep_s=60, most=100), observer := Forwarding())
    models = ModelRouter.of(engine, ServedModel(alias="champion", digest="d" * 64), responses=responses)
    context = context_with(engine, models=models)
    observer.to = context.metrics.models
    return context


class Forwarding(ModelObserver):
    """An observer that is made before the metrics are."""

    to: ModelObserver

    def record_lookup(self, lookup) -> None:
        self.to.record_lookup(lookup)


async def test_responses_say_whether_they_are_cached():
    engine = ScriptedEngine()
    context = context_with_answers(engine)
    async with client_of(context) as client:

        async def posted(path: str, field: str, **options):
            answer = await client.post(path, files={field: ("a.jpg", photos.jpeg((320, 248)))}, **options)
            assert answer.status_code == 200, answer.text
            return answer

        first, second = [await posted("/caption", "photo") for _ in range(2)]
        assert [answer.json()["cached"] for answer in (first, second)] == [False, True]
        assert [answer.headers.get("x-vqc-cached") for answer in (first, second)] == [None, "true"]
        bodies = [answer.json() for answer in (first, second)]
        assert all(
            bodies[0][name] == bodies[1][name] for name in bodies[0].keys() - {"request_id", "timings", "cached"}
        )
        drawn = await posted("/caption", "photo", params={"render": "overlay"})
        assert drawn.headers["x-vqc-cached"] == "true"
        stream = await posted("/caption", "photo", headers={"Accept": "text/event-stream"})
        assert stream.text.count("event: object") == len(first.json()["caption"])
        assert '"cached":true' in stream.text
        assert not (await posted("/caption", "photo", params={"temperature": "0.5"})).json()["cached"]
        assert engine.answered == 2
        lines = [
            (await posted("/stage-a", "photos", data={"mission": "挡风板安装检查"})).json()["photos"][0] for _ in "12"
        ]
        assert [line["cached"] for line in lines] == [False, True]
        assert lines[0]["summary"] == lines[1]["summary"]
        page = (await client.get("/metrics")).text
        assert 'vqc_answer_cache_lookups_total{outcome="hit"} 4.0' in page
        assert 'vqc_answer_cache_lookups_total{outcome="miss"} 2.0' in page


async def test_a_swap_starts_with_an_empty_cache_and_a_rollback_finds_the_old_one():
    old, new = ScriptedEngine(), ScriptedEngine()
    context = context_with_answers(old)
    async with client_of(context) as client:

        async def cached() -> bool:
            answer = await client.post("/caption", files={"photo": ("a.jpg", photos.jpeg((320, 248)))})
            return answer.json()["cached"]

        assert [await cached(), await cached()] == [False, True]
        before = context.models.router.activate(
            Role.MAIN, Deployment(new, ServedModel(alias="champion", digest="e" * 64))
        )
        assert [await cached(), await cached()] == [False, True]
        assert before
        context.models.router.activate(Role.MAIN, before)
        assert await cached()
    assert (old.answered, new.answered) == (1, 1)
