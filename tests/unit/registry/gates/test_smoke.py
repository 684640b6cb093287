"""Smoke-serve without an engine: what is asked, how answers are compared, what happens when a side gives none."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import EngineUnavailable
from engine.managed import ManagedEngine
from engine.scripted import ScriptedEngine
from registry import Registry
from registry.gates import smoke
from registry.gates.errors import SmokeServeFailed
from registry.gates.golden import golden_questions
from registry.gates.reference import ReferenceAnswer
from registry.gates.reports import SMOKE_SERVE, report_type
from registry.gates.smoke import (
    EngineAnswer,
    SmokeSettings,
    compare_answers,
    engine_answers,
    smoke_serve,
    smoke_serve_version,
)
from tests.support import photos
from tests.support.registry_models import write_adapter, write_model
from vqc.errors import InvalidValue, PhotoRejected
from vqc.grammar import CAPTION_GRAMMAR, SUMMARY_GRAMMAR

PHOTOS = Path(__file__).parents[4] / "deploy/demo/photos"
QUESTIONS = golden_questions(PHOTOS)
SETTINGS = SmokeSettings(profile="cpu", max_new_tokens=8)


def test_every_photo_is_asked_for_a_caption_and_a_line() -> None:
    names = sorted(path.name for path in PHOTOS.glob("*.jpg"))
    assert [question.photo for question in QUESTIONS] == [name for name in names for _ in range(2)]
    assert [question.task for question in QUESTIONS[:2]] == ["caption", "stage-a"]


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(InvalidValue, match="photos"):
        golden_questions(tmp_path)


def test_a_photo_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.heic").write_bytes(photos.BAD["heif"])
    with pytest.raises(PhotoRejected, match=r"broken\.heic"):
        golden_questions(tmp_path)


async def test_the_engine_is_asked_freely_and_under_the_services_grammar() -> None:
    engine = ScriptedEngine(lambda request, _: "[]" if request.grammar is None else "{}")
    answers = await engine_answers(engine, QUESTIONS[:2], 8, 5.0)
    assert answers == [EngineAnswer(text="[]", finished=True, constrained="{}")] * 2
    assert {request.grammar for request in engine.requests} == {None, CAPTION_GRAMMAR, SUMMARY_GRAMMAR}
    assert {(request.decoding.temperature, request.decoding.max_new_tokens) for request in engine.requests} == {
        (0.0, 8)
    }
    assert len({request.request_id for request in engine.requests}) == 4


def test_answers_agree_when_equal_or_tied_and_the_report_counts() -> None:
    said = [("甲", "甲", 0.0), ("甲\ufffd", "甲", 0.0), ("甲", "乙", 0.005), ("甲", "乙", 0.02)]
    questions = QUESTIONS[: len(said)]
    answers = [EngineAnswer(text=text, finished=True, constrained="{}") for text, _, _ in said]
    scored = [ReferenceAnswer(text=text, worst_gap=gap) for _, text, gap in said]
    report = compare_answers(questions, answers, scored, 0.01)
    assert (report["equal"], report["disagreeing"], report["worst_gap_nats"]) == (2, 1, 0.02)
    assert (report["num_photos"], report["num_answers"]) == (2, 4)
    lines = report["answers"]
    assert isinstance(lines, list)
    assert [line["agrees"] for line in lines] == [True, True, True, False]


def test_what_the_service_could_not_read_is_counted() -> None:
    answers = [EngineAnswer(text="", finished=True, constrained=text) for text in ("{}", "", "no caption", "无关图片")]
    questions = [QUESTIONS[0], QUESTIONS[1], QUESTIONS[0], QUESTIONS[1]]
    scored = [ReferenceAnswer(text="", worst_gap=0.0)] * 4
    assert compare_answers(questions, answers, scored, 0.01)["unreadable"] == 2


def test_an_adapter_is_to_be_merged_first(registry: Registry, tmp_path: Path) -> None:
    base = registry.push(write_model(tmp_path / "base"))
    adapter = registry.push(write_adapter(tmp_path / "adapter"), base=base.digest)
    with pytest.raises(InvalidValue, match="merge the adapter"):
        smoke_serve_version(
            registry, adapter.digest, QUESTIONS, SETTINGS, cache=tmp_path / "cache", log=tmp_path / "log"
        )


def test_an_engine_that_does_not_start_says_why_and_nothing_is_attached(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(self: ManagedEngine) -> None:
        raise EngineUnavailable("no memory left")

    monkeypatch.setattr(ManagedEngine, "__aenter__", refuses)
    version = registry.push(write_model(tmp_path / "model")).digest
    with pytest.raises(SmokeServeFailed, match="no memory left"):
        smoke_serve_version(registry, version, QUESTIONS, SETTINGS, cache=tmp_path / "cache", log=tmp_path / "log")
    assert registry.referrers(version, report_type(SMOKE_SERVE)) == []


def test_a_model_that_transformers_cannot_open_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def served(*_: object) -> list[EngineAnswer]:
        return [EngineAnswer(text="", finished=True, constrained="")]

    monkeypatch.setattr(smoke, "_serve_and_ask", served)
    with pytest.raises(SmokeServeFailed, match="transformers") as caught:
        smoke_serve(write_model(tmp_path / "model"), QUESTIONS[:1], SETTINGS, log=tmp_path / "log")
    assert caught.value.who == "transformers"
    assert "Error" in caught.value.reason
