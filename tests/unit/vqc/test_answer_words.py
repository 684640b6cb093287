"""Lines and verdicts in an inspection's own words: what is written is read back, whatever the language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vqc import summary, verdict
from vqc.answer_words import CHINESE, WORDS, AnswerWords
from vqc.errors import InvalidValue
from vqc.parser import Status
from vqc.summary import Summary
from vqc.verdict import Verdict, VerdictAnswer

ENGLISH = WORDS["en"]
OWN = AnswerWords(
    passed=("合格", "OK"), failed=("不合格",), reason="说明", irrelevant="其他照片", note="另", separator="；"
)
EVERY = st.sampled_from([CHINESE, ENGLISH, OWN])
WORD = st.text(st.sampled_from("ab装螺丝é9/,.:-"), min_size=1, max_size=8)


@given(EVERY, st.lists(st.lists(WORD, min_size=1, max_size=3), max_size=4), st.integers(1, 99), st.none() | WORD)
def test_a_line_is_read_as_it_is_written(words, texts, count, note):
    items = tuple(((" " if words.items_have_spaces else "").join(text), count) for text in texts)
    one = Summary(items=items, note=note if items else None)
    outcome = summary.parse(summary.render(one, words), words)
    assert (outcome.status, outcome.summary) == (Status.PARSED, one)


@given(EVERY, st.sampled_from(list(Verdict)), st.lists(WORD, min_size=1, max_size=5).map(" ".join))
def test_a_verdict_is_read_as_it_is_written(words, value, reason):
    one = VerdictAnswer(verdict=value, reason=reason)
    outcome = verdict.parse(verdict.render(one, words), words)
    assert (outcome.status, outcome.answer) == (Status.PARSED, one)


@given(EVERY, st.text())
def test_reading_is_total(words, text):
    summary.parse(text, words)
    verdict.parse(text, words)


@pytest.mark.parametrize(
    ("text", "items", "note"),
    [
        ("cover/closed×1; seal/present and intact×2", (("cover/closed", 1), ("seal/present and intact", 2)), None),
        ("cover/closed x1, seal/present", (("cover/closed", 1), ("seal/present", 1)), None),
        ("cover/closed×1; note: the left side  is hidden.", (("cover/closed", 1),), "the left side is hidden."),
        ("irrelevant photo.", (), None),
    ],
)
def test_english_lines_are_repaired(text, items, note):
    assert summary.parse(text, ENGLISH).summary == Summary(items=items, note=note)


def test_words_of_another_inspection_are_not_verdicts():
    assert verdict.parse("合格\n说明: 完好", OWN).answer == VerdictAnswer(verdict=Verdict.PASS, reason="完好")
    for text, words in (("通过\n理由: 完好", OWN), ("合格\n说明: 完好", CHINESE), ("通过\n理由: 完好", ENGLISH)):
        assert verdict.parse(text, words).status is Status.MALFORMED


def test_an_item_that_the_words_cannot_write_is_refused():
    with pytest.raises(InvalidValue, match="without '，' and without spaces"):
        summary.render(Summary(items=(("a b", 1),)), CHINESE)
    with pytest.raises(InvalidValue, match="without ';'"):
        summary.render(Summary(items=(("a;b", 1),)), ENGLISH)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"failed": ("Passed",)}, "pass or fail, not both: passed"),
        ({"irrelevant": "a; b"}, "must not contain ';'"),
        ({"irrelevant": "5×5"}, "must not contain"),
        ({"separator": "and"}, "separator"),
        ({"reason": 'Rea"son'}, "reason"),
        ({"passed": ()}, "passed"),
        ({"note": "two\nlines"}, "note"),
    ],
)
def test_words_that_cannot_be_told_apart_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        AnswerWords(**{**ENGLISH.model_dump(), **change})
