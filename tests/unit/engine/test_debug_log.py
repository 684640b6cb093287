"""What debug lines say about requests to an engine, and what they never say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from engine.debug_log import without_secrets
from engine.errors import EngineUnavailable
from engine.protocol import DecodingParams, GenerateRequest
from engine.scripted import ScriptedEngine
from vqc.image import EncodedPhoto

ASKED = GenerateRequest(
    request_id="r1",
    system="system words",
    user=(EncodedPhoto(data=b"photo bytes", media_type="image/jpeg", digest="ab" * 32), "ticket words"),
    decoding=DecodingParams(max_new_tokens=40, temperature=0.3, seed=7),
    n=2,
    grammar="root ::= grammar words",
)


@pytest.fixture
def lines() -> Iterator[list]:
    with capture_logs() as found:
        yield found


async def stream(engine: ScriptedEngine, pieces: int | None) -> None:
    deltas = engine.stream(ASKED)
    taken = 0
    async for _ in deltas:
        taken += 1
        if taken == pieces:
            break
    await deltas.aclose()


def test_a_request_is_logged_with_its_settings_and_its_end(lines: list) -> None:
    asyncio.run(ScriptedEngine(lambda request, index: "answer words").generate(ASKED))
    asked, answered = lines
    assert (asked["event"], asked["log_level"]) == ("engine_asked", "debug")
    settings = {"request_id": "r1", "n": 2, "max_new_tokens": 40, "temperature": 0.3, "top_p": 1.0, "seed": 7}
    assert settings.items() <= asked.items()
    assert asked["photos"] == ["image/jpeg abababababab 11 B"]
    assert answered["event"] == "engine_answered"
    assert (answered["outcome"], answered["finish_reason"]) == ("answered", ["stop", "stop"])
    assert "words" not in str(lines)
    assert "photo bytes" not in str(lines)


@pytest.mark.parametrize(("pieces", "outcome"), [(None, "answered"), (1, "aborted")])
def test_a_stream_is_logged_as_it_ended(lines: list, pieces: int | None, outcome: str) -> None:
    asyncio.run(stream(ScriptedEngine(lambda request, index: "a long answer"), pieces))
    assert lines[-1]["outcome"] == outcome


def test_a_failure_is_logged_by_its_kind(lines: list) -> None:
    engine = ScriptedEngine(fail=lambda request: EngineUnavailable("down"))
    with pytest.raises(EngineUnavailable):
        asyncio.run(engine.generate(ASKED))
    assert lines[-1]["outcome"] == "EngineUnavailable"


def test_nothing_is_logged_or_computed_above_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: GenerateRequest) -> dict[str, object]:
        raise AssertionError("computed")

    monkeypatch.setattr("engine.debug_log._settings", fail)
    quiet = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    monkeypatch.setattr("engine.debug_log._log", quiet)
    asyncio.run(ScriptedEngine().generate(ASKED))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--api-key", "hidden"],
        ["--api-key=hidden"],
        ["--HF-Token", "hidden"],
        ["http://user:hidden@host:1/v1"],
        ["--x=//a:hid@hidden@h"],
    ],
)
def test_arguments_show_no_secrets(arguments: list[str]) -> None:
    assert "hidden" not in str(without_secrets(["--port", "1", *arguments, "--seed", "2"]))
    assert {"1", "2"} <= set(without_secrets(["--port", "1", *arguments, "--seed", "2"]))
