"""Law 1 (what is rendered parses back; parsing is total) and law 4 (one canonical order)."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies import ANSWERS, CAPTIONS, OBJECTS, SUMMARIES
from vqc import codec, parser, summary, verdict
from vqc.caption import CaptionObject, DenseCaption, checked_desc, in_reading_order
from vqc.errors import InvalidValue
from vqc.geometry import Kind, Shape, canonical
from vqc.parser import CaptionReader, Status

BROKEN = st.text(alphabet='{}[]":,0123456789 \\object_lindesc光纤\n', max_size=200) | st.text(max_size=80)


@given(CAPTIONS)
def test_a_rendered_caption_parses_to_itself(caption):
    outcome = parser.parse(codec.render(caption))
    assert (outcome.status, outcome.caption, outcome.truncated) == (Status.PARSED, caption, False)


@given(SUMMARIES)
def test_a_rendered_summary_parses_to_itself(value):
    outcome = summary.parse(summary.render(value))
    assert (outcome.status, outcome.summary) == (Status.PARSED, value)


@given(ANSWERS)
def test_a_rendered_verdict_parses_to_itself(answer):
    outcome = verdict.parse(verdict.render(answer))
    assert (outcome.status, outcome.answer) == (Status.PARSED, answer)


@given(BROKEN)
def test_parsing_any_text_gives_an_outcome(text):
    assert (parser.parse(text).caption is None) == (parser.parse(text).status is Status.MALFORMED)
    assert (summary.parse(text).summary is None) == (summary.parse(text).status is Status.MALFORMED)
    assert (verdict.parse(text).answer is None) == (verdict.parse(text).status is Status.MALFORMED)


@given(CAPTIONS, st.data())
def test_a_truncated_caption_keeps_its_complete_objects(caption, data):
    text = codec.render(caption)
    cut = data.draw(st.integers(1, len(text) - 1))
    outcome = parser.parse(text[:cut])
    assert outcome.status is Status.REPAIRED
    assert outcome.truncated
    kept = outcome.caption.objects
    complete = [
        n
        for n in range(1, len(caption.objects) + 1)
        if codec.dumps(codec.objects_by_key(caption.objects[:n]))[:-1] in text[:cut]
    ]
    assert kept == caption.objects[: len(complete)]


@given(CAPTIONS, st.data())
def test_a_streamed_caption_gives_the_same_objects_wherever_it_is_cut(caption, data):
    text, reader, streamed = codec.render(caption), CaptionReader(), []
    while text:
        size = data.draw(st.integers(1, 40))
        streamed += reader.feed(text[:size])
        text = text[size:]
    assert tuple(streamed) == caption.objects
    assert reader.outcome() == parser.parse(codec.render(caption))


@given(st.lists(OBJECTS, max_size=6), st.randoms(use_true_random=False))
def test_reading_order_does_not_depend_on_the_order_given(objects, rng: random.Random):
    shuffled = rng.sample(objects, len(objects))
    assert in_reading_order(shuffled) == in_reading_order(objects)
    ordered = in_reading_order(objects)
    assert in_reading_order(ordered) == ordered


@given(OBJECTS, st.integers(0, 3), st.booleans())
def test_a_shape_has_one_canonical_form(item, turn, reverse):
    shape = item.shape
    points = list(shape.points)
    if shape.kind is Kind.QUAD:
        points = points[turn:] + points[:turn]
    if reverse and shape.kind is not Kind.BBOX:
        points = points[::-1]
    assert canonical(Shape.from_points(shape.kind, points)) == shape


def test_a_quad_without_area_has_one_canonical_form_too():
    there, back = (0, 0, 0, 0, 0, 2, 0, 1), (0, 1, 0, 2, 0, 0, 0, 0)
    assert canonical(Shape(Kind.QUAD, there)) == canonical(Shape(Kind.QUAD, back))


def test_the_order_of_the_reference_policy():
    boxes = {"bottom": (50, 50, 70, 70), "mid-left": (5, 40, 15, 50)}
    objects = [CaptionObject(shape=Shape(Kind.BBOX, xy), desc=desc) for desc, xy in boxes.items()]
    objects.append(CaptionObject(shape=Shape(Kind.QUAD, (10, 10, 20, 10, 20, 20, 10, 20)), desc="top-left"))
    objects.append(CaptionObject(shape=Shape(Kind.LINE, (30, 30, 80, 30)), desc="middle-line"))
    order = [item.desc for item in DenseCaption(tuple(objects)).objects]
    assert order == ["top-left", "middle-line", "mid-left", "bottom"]


@pytest.mark.parametrize(
    "desc",
    [
        "BBU设备/华为, 显示完整",
        "BBU设备 /华为",
        "BBU设备/ 华为",
        "备注 :x",
        "备注: x",
        "a  b",
        "a\tb",
        "a\nb",
        "   ",
        None,
        "\ud800",
        "a" * 129,
        '"',
    ],
)
def test_a_description_that_the_codec_cannot_carry_is_refused(desc):
    with pytest.raises(InvalidValue, match="desc"):
        checked_desc(desc)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"desc": "天线/完好", "quad": [[0, 0], [50, 0], [50, 30], [0, 30]]}, (0, 0, 50, 0, 50, 30, 0, 30)),
        ({"desc": "光纤", "line": [[10, 10], [20, 20], [30, 40]], "line_points": 3}, (10, 10, 20, 20, 30, 40)),
        ({"desc": "光纤", "line": [[10, 10], [20, 20], [30, 40]]}, None),
        ({"desc": "混合", "bbox_2d": [1, 2, 3, 4], "quad": [0, 0, 5, 0, 5, 3, 0, 3]}, None),
        ({"desc": "超出", "bbox_2d": [-100, 500, 1500, 2000]}, (0, 500, 1000, 1000)),
        ({"desc": "倒置", "bbox_2d": [30, 40, 10, 20]}, (10, 20, 30, 40)),
        ({"desc": "无穷", "bbox_2d": [0, 0, float("inf"), 1]}, None),
        ({"bbox_2d": [1, 2, 3, 4]}, None),
        ([1, 2], None),
    ],
)
def test_what_a_model_spells_otherwise_is_mended_or_dropped_and_noted(value, kept):
    outcome = parser.parse(json.dumps({"object_1": value}, ensure_ascii=False))
    assert outcome.status is Status.REPAIRED
    assert outcome.notes
    assert [item.shape.xy for item in outcome.caption.objects] == ([] if kept is None else [kept])


def test_an_unreadable_object_does_not_hide_the_next():
    outcome = parser.parse('```json\n{"object_1": {oops}, "object_2": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}}\n```')
    assert [item.desc for item in outcome.caption.objects] == ["标签"]
    assert not outcome.truncated
    assert "oops" in outcome.notes[0]
