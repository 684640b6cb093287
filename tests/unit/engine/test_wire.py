"""Requests and answers in vLLM's spelling."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from engine.errors import EngineError, EngineFailed, EngineOverloaded, EngineRefused, EngineUnavailable
from engine.protocol import DecodingParams, GenerateRequest
from engine.wire import chat_body, failure_of, generation_of
from vqc.image import EncodedPhoto

PHOTO = EncodedPhoto(data=b"\xff\xd8\x00", media_type="image/jpeg", digest="ab" * 32)


def body_of(**request: Any) -> dict[str, Any]:
    defaults = {"request_id": "r-1", "system": "系统", "user": ("看图",), "decoding": DecodingParams(max_new_tokens=5)}
    stream, priority = request.pop("stream", False), request.pop("send_priority", True)
    return json.loads(
        chat_body(GenerateRequest(**{**defaults, **request}), "qc", stream=stream, send_priority=priority)
    )


def test_parts_keep_their_order_and_photos_carry_their_digest() -> None:
    body = body_of(user=("前", PHOTO, '后"\n'))
    assert body["messages"] == [
        {"role": "system", "content": "系统"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "前"},
                {
                    "type": "image_url",
                    "uuid": PHOTO.digest,
                    "image_url": {"url": f"data:image/jpeg;base64,{b64encode(PHOTO.data).decode()}"},
                },
                {"type": "text", "text": '后"\n'},
            ],
        },
    ]


def test_sampling_is_spelled_out_so_that_no_server_default_joins_in() -> None:
    body = body_of(
        decoding=DecodingParams(max_new_tokens=5, temperature=0.7, top_p=0.9, repetition_penalty=1.1, seed=3), n=4
    )
    del body["messages"]
    assert body == {
        "model": "qc",
        "request_id": "r-1",
        "max_completion_tokens": 5,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.1,
        "seed": 3,
        "n": 4,
    }


def test_a_turn_without_system_text_has_no_system_message() -> None:
    assert [message["role"] for message in body_of(system="")["messages"]] == ["user"]


def test_grammar_priority_and_streaming() -> None:
    body = body_of(grammar='root ::= "a"', priority=5, stream=True)
    assert body["structured_outputs"] == {"grammar": 'root ::= "a"'}
    assert body["priority"] == 5
    assert body["stream_options"] == {"include_usage": True}
    assert "priority" not in body_of(priority=5, send_priority=False)


@pytest.mark.parametrize(
    ("status", "kind", "error", "retryable"),
    [
        (400, "BadRequestError", EngineRefused, False),
        (413, "", EngineRefused, False),
        (422, "UnprocessableEntityError", EngineRefused, False),
        (401, "", EngineUnavailable, False),
        (404, "NotFoundError", EngineUnavailable, False),
        (429, "", EngineOverloaded, False),
        (500, "InternalServerError", EngineFailed, True),
        (502, "", EngineUnavailable, True),
        (503, "Service Unavailable", EngineOverloaded, False),
        (503, "ServiceUnavailableError", EngineUnavailable, True),
        (504, "", EngineUnavailable, True),
    ],
)
def test_every_status_has_its_meaning(status: int, kind: str, error: type[EngineError], retryable: bool) -> None:
    failure = failure_of(status, json.dumps({"error": {"message": "because", "type": kind}}).encode())
    assert type(failure.error) is error
    assert failure.retryable is retryable
    assert "because" in failure.error.reason


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "no"}', b'{"error": null}'])
def test_an_error_page_of_a_proxy_is_an_error_too(body: bytes) -> None:
    assert failure_of(502, body).error.reason == "the engine answered HTTP 502"


def test_the_time_to_wait_is_the_server_s_own() -> None:
    error = failure_of(503, b"", retry_after="7").error
    assert isinstance(error, EngineUnavailable)
    assert error.retry_after_s == 7


@pytest.mark.parametrize("answer", [{}, {"choices": [{}], "usage": {}}, {"choices": None}])
def test_an_answer_of_another_shape_is_a_failure(answer: dict[str, Any]) -> None:
    with pytest.raises(EngineFailed):
        generation_of(answer)


def test_an_answer_carries_the_name_that_the_server_gives_itself() -> None:
    choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}
    answer = {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    assert generation_of({**answer, "model": "champion@sha256:d"}).model == "champion@sha256:d"
    assert generation_of(answer).model == ""


@pytest.mark.parametrize(
    ("reason", "error"), [("abort", EngineUnavailable), ("tool_calls", EngineFailed), (None, EngineFailed)]
)
def test_only_stop_and_length_are_answers(reason: str | None, error: type[EngineError]) -> None:
    choice = {"index": 0, "message": {"content": "a"}, "finish_reason": reason}
    with pytest.raises(error):
        generation_of({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
