"""What the comparison of two trees refuses, and its stand-in for vLLM."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.client import VllmClient
from engine.protocol import DecodingParams, GenerateRequest
from loadtest.against import PairPlan, PairRow, compare, stub_engine
from loadtest.cli import main
from loadtest.errors import BenchFailed
from loadtest.http.requests import Body
from loadtest.report import pair_table
from loadtest.targets.stub_engine import ANSWER, LINE
from vqc.grammar import CAPTION_GRAMMAR
from vqc.image import EncodedPhoto
from vqc.parser import Status, parse
from vqc.summary import parse as parse_summary


def request(max_new_tokens: int) -> GenerateRequest:
    image = EncodedPhoto(data=b"x" * 200_000, media_type="image/jpeg", digest="d")
    decoding = DecodingParams(max_new_tokens=max_new_tokens)
    return GenerateRequest(request_id="r", system="s", user=(image, "t"), decoding=decoding, grammar=CAPTION_GRAMMAR)


async def test_the_stand_in_answers_as_vllm_does_whole_and_streamed() -> None:
    async with stub_engine() as socket:
        client = VllmClient(socket, "vqc")
        assert (await client.health()).ready
        caption, line = [await client.generate(request(tokens)) for tokens in (256, 48)]
        assert (caption.completions[0].text, line.completions[0].text) == (ANSWER, LINE)
        deltas = [delta async for delta in client.stream(request(256))]
        assert "".join(delta.text for delta in deltas) == ANSWER
        assert deltas[-1].completion_tokens > 0
        await client.aclose()


def test_its_answers_are_what_a_good_model_writes() -> None:
    assert parse(ANSWER).status is Status.PARSED
    assert parse_summary(LINE).status is Status.PARSED


async def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    plan = PairPlan(tree=tmp_path, connections=(1,), seconds=1, rounds=1, body=Body.JSON, stub=False)
    with pytest.raises(BenchFailed, match="is no checkout of this project"):
        await compare(plan, [b""])


def test_the_stand_in_alone_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["gateway", "--stub"])
    assert "give --against too" in capsys.readouterr().err


def test_the_table_has_a_row_per_level() -> None:
    row = PairRow(
        connections=16, pairs=3, ours_cpu_ms=1.5, theirs_cpu_ms=3.0, cpu_ratio=0.5, spread=(0.4, 0.6), rate_ratio=2.0, errors=0
    )  # fmt: skip
    assert pair_table([row]).row_count == 1
