"""Hypothesis strategies for the domain's values."""

import string

from hypothesis import strategies as st

from vqc.caption import MAX_OBJECTS, CaptionObject, DenseCaption
from vqc.geometry import MAX_LINE_POINTS, Kind, Shape
from vqc.summary import Summary
from vqc.verdict import Verdict, VerdictAnswer

NORM = st.integers(0, 1000)
WORD = st.text(
    alphabet="设备光纤螺丝华为×，。（）" + string.ascii_letters + string.digits + "-_+'{}[]", min_size=1, max_size=8
)


@st.composite
def shapes(draw, coordinate=NORM):
    kind = draw(st.sampled_from(Kind))
    if kind is Kind.LINE:
        points = draw(st.integers(2, 5) | st.just(MAX_LINE_POINTS))
        return Shape(kind, tuple(draw(st.lists(coordinate, min_size=2 * points, max_size=2 * points))))
    if kind is Kind.QUAD:
        return Shape(kind, tuple(draw(st.lists(coordinate, min_size=8, max_size=8))))
    (x1, x2), (y1, y2) = (sorted(draw(st.tuples(coordinate, coordinate))) for _ in range(2))
    return Shape(kind, (x1, y1, x2, y2))


@st.composite
def descs(draw):
    words = [" ".join(draw(st.lists(WORD, min_size=1, max_size=2))) for _ in range(draw(st.integers(1, 4)))]
    separators = [draw(st.sampled_from("/,:")) for _ in words[1:]]
    return words[0] + "".join(separator + word for separator, word in zip(separators, words[1:], strict=True))


OBJECTS = st.builds(CaptionObject, shape=shapes(), desc=descs())
CAPTIONS = st.lists(OBJECTS, max_size=6).map(lambda objects: DenseCaption(tuple(objects)))
FULL_CAPTION = st.lists(OBJECTS, min_size=MAX_OBJECTS, max_size=MAX_OBJECTS).map(lambda o: DenseCaption(tuple(o)))

ITEM = st.text(alphabet="设备光纤螺丝/,:（）" + string.ascii_letters, min_size=1, max_size=12)
SUMMARIES = st.builds(
    Summary,
    items=st.lists(st.tuples(ITEM, st.integers(1, 99)), min_size=1, max_size=5).map(tuple),
    note=st.none() | WORD,
) | st.just(Summary())
ANSWERS = st.builds(VerdictAnswer, verdict=st.sampled_from(Verdict), reason=WORD)
