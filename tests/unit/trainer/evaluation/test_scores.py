import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluation.matching import is_line, match_objects
from trainer.evaluation.overlap import overlap
from trainer.evaluation.scores import attribute_score, by_category, fact_score, region_score
from vqc.caption import CaptionObject
from vqc.geometry import Kind, Shape
from vqc.summary import Summary


def box(*xy: int, desc: str = "标签/文本") -> CaptionObject:
    return CaptionObject(shape=Shape(Kind.BBOX, xy), desc=desc)


def line(*xy: int, desc: str = "光纤/有保护") -> CaptionObject:
    return CaptionObject(shape=Shape(Kind.LINE, xy), desc=desc)


coordinates = st.integers(0, 1000)
shapes = st.one_of(
    st.lists(coordinates, min_size=8, max_size=8).map(lambda v: Shape(Kind.QUAD, tuple(v))),
    st.lists(coordinates, min_size=4, max_size=12).filter(lambda v: len(v) % 2 == 0).map(lambda v: Shape(Kind.LINE, tuple(v))),
    st.lists(coordinates, min_size=4, max_size=4).map(
        lambda v: Shape(Kind.BBOX, (min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])))
    ),
)  # fmt: skip


@given(shapes, shapes)
def test_overlap_is_a_symmetric_share(first, second):
    found = overlap(first, second)
    assert 0 <= found <= 1 + 1e-9
    assert overlap(second, first) == pytest.approx(found)


def test_a_corner_almost_on_an_edge_does_not_change_the_overlap():
    thin = Shape(Kind.QUAD, (479, 1, 0, 0, 0, 0, 478, 0))
    bow = Shape(Kind.QUAD, (479, 1, 714, 0, 0, 1, 478, 0))
    assert overlap(thin, bow) == pytest.approx(overlap(bow, thin)) == pytest.approx(0.161918, abs=1e-6)


def test_overlap_of_known_shapes():
    square = Shape(Kind.BBOX, (0, 0, 10, 10))
    diamond = Shape(Kind.QUAD, (5, 0, 10, 5, 5, 10, 0, 5))
    assert overlap(square, diamond) == pytest.approx(0.5)
    assert overlap(square, Shape(Kind.LINE, (0, 0, 10, 10))) == 0
    assert overlap(Shape(Kind.BBOX, (1, 1, 1, 1)), Shape(Kind.BBOX, (1, 1, 1, 1))) == 0
    straight, beside = Shape(Kind.LINE, (0, 0, 500, 0)), Shape(Kind.LINE, (0, 8, 500, 8))
    assert 0.3 < overlap(straight, beside) < 0.4
    assert overlap(straight, Shape(Kind.LINE, (0, 20, 500, 20))) == 0


def test_matching_is_greedy_exclusive_and_within_a_category():
    labels = [box(0, 0, 100, 100), box(50, 0, 150, 100)]
    answers = [box(40, 0, 140, 100), box(0, 0, 100, 100, desc="螺丝")]
    found = match_objects(labels, answers)
    assert [pair[:2] for pair in found.pairs] == [(1, 0)]
    assert match_objects(labels, labels).pairs[0][2] == 1.0


def test_a_perfect_answer_scores_one_and_an_empty_one_zero():
    objects = [box(0, 0, 100, 100), line(0, 0, 500, 500), box(200, 200, 300, 260, desc="螺丝/拧紧")]
    perfect = [match_objects(objects, objects)]
    assert region_score(perfect, is_line).f1 == region_score(perfect, lambda item: not is_line(item)).f1_50 == 1
    assert attribute_score(perfect).exact == 1
    assert region_score([match_objects(objects, [])], is_line).f1_50 == 0
    assert region_score([match_objects([], [])], is_line).f1_50 is None
    assert list(by_category([match_objects(objects, [box(0, 0, 5, 5, desc="新")])])) == ["标签", "光纤", "螺丝", "新"]


def test_one_miss_one_extra():
    labels = [box(0, 0, 100, 100), box(200, 0, 300, 100)]
    answers = [box(0, 0, 100, 75), box(600, 0, 700, 100)]
    score = region_score([match_objects(labels, answers)], lambda item: True)
    assert score.f1_50 == pytest.approx(0.5)
    assert score.f1 == pytest.approx(0.5 * 6 / 10)


def test_attributes_count_where_regions_agree():
    labels = [box(0, 0, 100, 100, desc="BBU设备/华为,显示完整"), box(500, 500, 600, 600, desc="BBU设备/中兴,显示完整")]
    answers = [box(0, 0, 100, 100, desc="BBU设备/华为,只显示部分")]
    found = attribute_score([match_objects(labels, answers)])
    assert (found.pairs, found.recall, found.exact) == (1, 0.5, 0.0)


def test_facts_are_items_with_their_counts():
    label = Summary(items=(("BBU设备", 1), ("光模块", 3)))
    answer = Summary(items=(("光模块", 2), ("BBU设备", 1)))
    found = fact_score([(label, answer), (Summary(), Summary()), (Summary(), None)])
    assert found.recall == pytest.approx(2 / 4)
    assert found.precision == pytest.approx(2 / 3)
    assert found.count_recall == pytest.approx(4 / 6)
