"""The stub engine answers as vLLM does."""

from __future__ import annotations

from engine.client import VllmClient
from engine.protocol import DecodingParams, GenerateRequest
from loadtest.targets.stub_engine import ANSWER, LINE, running_stub_engine
from vqc.grammar import CAPTION_GRAMMAR
from vqc.image import EncodedPhoto
from vqc.parser import Status, parse
from vqc.summary import parse as parse_summary


def request(max_new_tokens: int) -> GenerateRequest:
    image = EncodedPhoto(data=b"x" * 200_000, media_type="image/jpeg", digest="d")
    decoding = DecodingParams(max_new_tokens=max_new_tokens)
    return GenerateRequest(request_id="r", system="s", user=(image, "t"), decoding=decoding, grammar=CAPTION_GRAMMAR)


async def test_the_stub_answers_as_vllm_does_whole_and_streamed() -> None:
    async with running_stub_engine() as socket:
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
