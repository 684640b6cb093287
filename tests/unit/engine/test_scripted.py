"""What the scripted engine has beyond the port: failures and delays on demand, and a memory of what happened."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from engine.errors import EngineOverloaded, EngineUnavailable
from engine.plausible import plausible_answer, verdict_script
from engine.protocol import DecodingParams, GenerateRequest
from engine.scripted import ScriptedEngine
from vqc import parser, summary, verdict
from vqc.grammar import CAPTION_GRAMMAR, SUMMARY_GRAMMAR, VERDICT_GRAMMAR
from vqc.image import EncodedPhoto
from vqc.parser import Status

ASKED = GenerateRequest(
    request_id="r",
    system="",
    user=(EncodedPhoto(data=b"", media_type="image/jpeg", digest="0" * 64), "问"),
    decoding=DecodingParams(max_new_tokens=4000),
)


@pytest.mark.parametrize(
    ("grammar", "parse"),
    [(CAPTION_GRAMMAR, parser.parse), (SUMMARY_GRAMMAR, summary.parse), (VERDICT_GRAMMAR, verdict.parse)],
)
def test_made_up_answers_are_valid_and_vary(grammar: str, parse) -> None:
    requests = [replace(ASKED, user=(f"第{n}个",), grammar=grammar) for n in range(200)]
    answers = [plausible_answer(request, 0) for request in requests]
    assert all(parse(answer).status is Status.PARSED for answer in answers)
    assert len(set(answers)) > 4


def test_an_answer_depends_on_photo_text_and_seed() -> None:
    sampled = replace(ASKED, grammar=CAPTION_GRAMMAR, decoding=DecodingParams(max_new_tokens=9, temperature=1, seed=1))
    answer = plausible_answer(sampled, 0)
    other_photo = replace(sampled, user=(replace(ASKED.user[0], digest="1" * 64), "问"))  # pyright: ignore
    others = [other_photo, replace(sampled, user=(ASKED.user[0], "别")), replace(sampled, system="别")]
    assert answer == plausible_answer(replace(sampled, request_id="other"), 0)
    assert answer not in [plausible_answer(other, 0) for other in others]
    assert answer != plausible_answer(sampled, 1)


async def test_failures_on_demand() -> None:
    engine = ScriptedEngine(fail=lambda request: EngineOverloaded("full") if request.priority else None)
    await engine.generate(ASKED)
    with pytest.raises(EngineOverloaded):
        await engine.generate(replace(ASKED, priority=1))
    with pytest.raises(EngineOverloaded):
        await anext(engine.stream(replace(ASKED, priority=1)))
    assert (engine.answered, engine.aborted, engine.in_flight) == (1, 0, 0)


async def test_it_remembers_the_last_requests() -> None:
    engine = ScriptedEngine(remember=2)
    for n in range(3):
        await engine.generate(replace(ASKED, request_id=str(n)))
    assert [request.request_id for request in engine.requests] == ["1", "2"]


async def test_it_counts_what_was_aborted() -> None:
    engine = ScriptedEngine(latency_s=3600)
    task = asyncio.create_task(engine.generate(replace(ASKED, timeout_s=7200)))
    while not engine.in_flight:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (engine.answered, engine.aborted, engine.in_flight) == (0, 1, 0)


async def test_once_closed_it_is_gone() -> None:
    engine = ScriptedEngine()
    await engine.aclose()
    assert not (await engine.health()).ready
    with pytest.raises(EngineUnavailable):
        await engine.generate(ASKED)


@pytest.mark.parametrize("module", ["engine", "engine.protocol", "engine.profile", "engine.scripted"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('httpx', 'aiohttp', 'vllm', 'torch', 'xgrammar') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def asking(text: str) -> GenerateRequest:
    decoding = DecodingParams(max_new_tokens=400, temperature=1, seed=1)
    return replace(ASKED, user=(text,), grammar=VERDICT_GRAMMAR, decoding=decoding)


def test_votes_have_the_probability_that_was_set() -> None:
    script = verdict_script(lambda request: 0.3)
    fails = sum(script(asking("工单"), index).startswith("不通过") for index in range(2000))
    assert 0.27 < fails / 2000 < 0.33
    assert script(replace(asking("工单"), grammar=None), 0) == plausible_answer(
        replace(asking("工单"), grammar=None), 0
    )


def test_plausible_verdicts_of_one_ticket_mostly_agree_and_follow_the_flaws_of_its_mission() -> None:
    def fails(line: str) -> int:
        request = asking(f"任务：挡风板安装检查\n{line}")
        return sum(plausible_answer(request, index).startswith("不通过") for index in range(100))

    assert fails("挡风板/华为,安装方向错误×1") > 80
    assert fails("螺丝、光纤插头/BBU安装螺丝,不符合要求×1") < 20


def test_a_question_for_operations_gets_some() -> None:
    answer = plausible_answer(replace(ASKED, system='只输出{"operations": []}'), 0)
    assert json.loads(answer)["operations"][0]["op"] == "add"
