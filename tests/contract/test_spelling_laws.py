"""Compact spellings lose nothing: they expand to exactly the caption's JSON, however the answer is cut into pieces."""

import os
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.strategies import CAPTIONS, FULL_CAPTION
from tools.demo_studies.spellings import SPELLINGS, Expansion, Rows
from vqc import codec, parser
from vqc.parser import Status

if not os.environ.get("CI"):
    pytest.importorskip("xgrammar", reason="xgrammar comes with the engine (extra cpu or gpu)")
import xgrammar
from xgrammar.testing import _is_grammar_accept_string

ROWS = [spelling for spelling in SPELLINGS.values() if isinstance(spelling, Rows)]
rows = pytest.mark.parametrize("spelling", ROWS, ids=lambda spelling: "packed" if spelling.packed else "plain")


@pytest.mark.parametrize("name", SPELLINGS)
@given(caption=CAPTIONS)
def test_a_written_caption_expands_to_its_json(name, caption):
    spelling = SPELLINGS[name]
    assert spelling.expanded(spelling.written(caption)) == codec.render(caption)


@rows
@given(caption=CAPTIONS, cut=st.data())
def test_a_cut_answer_keeps_every_whole_object_and_is_called_truncated(spelling, caption, cut):
    text = spelling.written(caption)
    part = text[: cut.draw(st.integers(0, len(text) - 1))]
    outcome = parser.parse(spelling.expanded(part))
    if not part.count("\n"):
        assert outcome.status is Status.MALFORMED
        return
    assert outcome.truncated
    assert outcome.caption is not None
    assert outcome.caption.objects == caption.objects[: part.count("\n")]


ANY = st.text(alphabet='[](){}0123456789,-.\n光纤/" \\', max_size=60)


@rows
@given(text=ANY, cuts=st.lists(st.integers(0, 60), max_size=5))
def test_streamed_in_any_pieces_is_the_same(spelling, text, cuts):
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    expansion = Expansion(spelling)
    pieces = [expansion.feed(text[a:b]) for a, b in pairwise(places)]
    assert "".join(pieces) == spelling.expanded(text)


@rows
@given(text=ANY)
def test_whatever_is_not_what_would_be_written_is_not_called_parsed(spelling, text):
    outcome = parser.parse(spelling.expanded(text))
    if outcome.status is Status.PARSED:
        assert outcome.caption is not None
        assert spelling.expanded(spelling.written(outcome.caption)) == spelling.expanded(text)


@rows
def test_a_row_that_cannot_be_read_is_dropped_and_named(spelling):
    good = spelling.written(
        next(iter([parser.parse('{"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}}').caption]))
    )
    outcome = parser.parse(spelling.expanded(f"[1,2标签\n{good}"))
    assert outcome.status is Status.REPAIRED
    assert outcome.caption is not None
    assert [item.desc for item in outcome.caption.objects] == ["标签"]
    assert "object_1: dropped" in outcome.notes[0]


GRAMMARS = [xgrammar.Grammar.from_ebnf(spelling.grammar) for spelling in ROWS]
with_grammars = pytest.mark.parametrize(
    ("spelling", "grammar"), list(zip(ROWS, GRAMMARS, strict=True)), ids=["plain", "packed"]
)


@with_grammars
@settings(max_examples=40)
@given(caption=CAPTIONS)
def test_the_grammar_accepts_what_is_written(spelling, grammar, caption):
    text = spelling.written(caption)
    assert _is_grammar_accept_string(grammar, text)
    assert not _is_grammar_accept_string(grammar, text[:-1])


@with_grammars
@settings(max_examples=2)
@given(caption=FULL_CAPTION)
def test_the_grammar_ends_at_the_most_objects(spelling, grammar, caption):
    text = spelling.written(caption)
    assert _is_grammar_accept_string(grammar, text)
    assert not _is_grammar_accept_string(grammar, text[:-1] + text.splitlines()[0] + "\n.")


@with_grammars
@settings(max_examples=60)
@given(caption=CAPTIONS.filter(lambda c: c.objects), data=st.data())
def test_what_the_grammar_accepts_loses_no_object(spelling, grammar, caption, data):
    text = spelling.written(caption)
    at = data.draw(st.integers(0, len(text) - 1))
    changed = (
        text[:at] + data.draw(st.sampled_from(["", "0", "9", ",", "[", "光", " ", "\n", "-", "."])) + text[at + 1 :]
    )
    if _is_grammar_accept_string(grammar, changed):
        outcome = parser.parse(spelling.expanded(changed))
        assert outcome.caption is not None
        assert len(outcome.caption.objects) == changed.count("\n")
        assert not [note for note in outcome.notes if "dropped" in note]
