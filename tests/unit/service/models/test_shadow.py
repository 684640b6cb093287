"""Which requests the shadow gets, and how answers are compared."""

import asyncio

import pytest

from engine.errors import EngineFailed
from engine.scripted import ScriptedEngine
from service.models.deployment import Deployment
from service.models.observe import ModelObserver
from service.models.roles import Agreement, ServedModel
from service.models.shadow import MOST_AT_ONCE, Shadow, ShadowedEngine, agreement
from tests.support.model_fleet import asked, until
from vqc.caption import CaptionObject, DenseCaption
from vqc.codec import render
from vqc.geometry import Kind, Shape


def caption(*items: tuple[tuple[int, int, int, int], str]) -> str:
    objects = tuple(CaptionObject(shape=Shape(Kind.BBOX, box), desc=desc) for box, desc in items)
    return render(DenseCaption(objects))


BOX = ((1, 2, 3, 4), "BBU设备/华为")


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (caption(BOX), Agreement.IDENTICAL),
        (caption(((1, 2, 9, 9), "BBU设备/华为")), Agreement.SAME_DESCRIPTIONS),
        (caption(BOX, BOX), Agreement.DIFFERENT),
        (caption(((1, 2, 3, 4), "挡风板")), Agreement.DIFFERENT),
        ("no caption at all", Agreement.DIFFERENT),
    ],
)
def test_captions_agree_by_text_or_by_descriptions(theirs, expected):
    assert agreement(caption(BOX), theirs, caption=True) is expected


class Comparisons(ModelObserver):
    """Remembers how answers compared."""

    def __init__(self) -> None:
        self.agreements: list[Agreement] = []

    def record_comparison(self, agreement):
        self.agreements.append(agreement)


class Beside:
    """An engine whose answers are compared with those of a shadow."""

    def __init__(self, answers: ScriptedEngine, shadow: ScriptedEngine) -> None:
        self.observer = Comparisons()
        self.deployment = Deployment(shadow, ServedModel(alias="candidate", digest="v2"))
        self.shadow = Shadow(self.observer)
        self.engine = ShadowedEngine(answers, self.shadow.comparison_with(self.deployment))


def saying(text: str, **options) -> ScriptedEngine:
    return ScriptedEngine(lambda request, index: text, **options)


async def test_streams_are_compared_as_a_whole_and_the_shadow_has_the_lowest_priority():
    shadow = saying("a b c")
    beside = Beside(saying("a b c"), shadow)
    deltas = [delta async for delta in beside.engine.stream(asked("r"))]
    assert len(deltas) > 1
    await until(lambda: beside.observer.agreements == [Agreement.IDENTICAL])
    [request] = shadow.requests
    assert (request.request_id, request.priority) == ("r-shadow", 100)
    assert beside.deployment.in_flight.count == 0


async def test_sampled_answers_are_not_compared():
    beside = Beside(saying("a"), shadow := saying("a"))
    await beside.engine.generate(asked(temperature=0.7))
    await beside.shadow.aclose()
    assert (beside.observer.agreements, shadow.answered) == ([], 0)


async def test_a_cancelled_answer_is_not_compared():
    beside = Beside(saying("a b c", token_interval_s=0.001), shadow := saying("a b c"))
    stream = beside.engine.stream(asked())
    await anext(stream)
    await stream.aclose()
    assert not shadow.requests


async def test_a_failing_or_busy_shadow_does_not_affect_the_caller():
    beside = Beside(saying("a"), saying("a", fail=lambda request: EngineFailed("broken")))
    await beside.engine.generate(asked())
    await until(lambda: beside.observer.agreements == [Agreement.FAILED])

    busy = Beside(saying("a"), saying("a", latency_s=60))
    await asyncio.gather(*(busy.engine.generate(asked()) for _ in range(MOST_AT_ONCE + 2)))
    assert busy.observer.agreements == [Agreement.SKIPPED] * 2
    assert busy.deployment.in_flight.count == MOST_AT_ONCE
    await busy.shadow.aclose()
    assert busy.deployment.in_flight.count == 0
