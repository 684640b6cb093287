"""transformers' side of smoke-serve: what counts as the same answer, and how far another one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.gates.reference import BROKEN, ReferenceJob, ReferenceQuestion, answer_questions
from vqc.prompts import dense_prompt

DEMO = Path(__file__).parents[4] / "deploy/demo"
CUT = 24
"""Tokens after which answers are cut."""


def gaps(texts: list[tuple[str, bool]], model: Path = DEMO / "model", photo: str = "rack.jpg") -> list[float]:
    """The gap of each (text, finished) that an engine might have said of a photo."""
    return [gap for _, gap in answers(texts, model, photo)]


def answers(texts: list[tuple[str, bool]], model: Path, photo: str) -> list[tuple[str, float]]:
    prompt = dense_prompt()
    questions = [
        ReferenceQuestion(
            image=str(DEMO / "photos" / photo),
            system=prompt.system,
            before=prompt.before,
            after=prompt.after,
            engine_text=text,
            finished=finished,
        )
        for text, finished in texts
    ]
    job = ReferenceJob(model=str(model), device="cpu", dtype="float32", max_new_tokens=CUT, questions=questions)
    return [(one["text"], one["worst_gap"]) for one in answer_questions(job)]


@pytest.fixture(scope="module")
def said() -> str:
    """What the demo model says of the rack, cut."""
    ((text, _),) = answers([("", False)], DEMO / "model", "rack.jpg")
    return text


def test_how_far_an_answer_is(said: str) -> None:
    assert said.startswith('{"object_1": {')
    another_number, broken_character = said.replace("[", "[9", 1), said + "\ufffd"
    early_end = said[: said.index("[") + 1]
    own, cut, other, ended = gaps(
        [(said, False), (broken_character, False), (another_number, False), (early_end, True)]
    )
    assert (own, cut) == (0.0, 0.0)
    assert 0.1 < other < BROKEN
    assert 0.1 < ended < BROKEN


def test_a_cut_answer_that_hides_its_tokens_is_no_tie() -> None:
    assert gaps([("", False), ("\ufffd\ufffd", False), ('{"', False)]) == [BROKEN] * 3


def test_an_answer_that_ended_by_itself_is_compared_to_its_end() -> None:
    assert answers([("{}", True)], DEMO / "model", "drawing.jpg") == [("{}", 0.0)]


def test_another_model_is_far_away(said: str, tiny_checkpoint: Path) -> None:
    assert gaps([(said, False)], tiny_checkpoint)[0] > 0.5
