"""Drawn photos are pure functions of their arguments, and their labels cover exactly what was drawn."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from PIL import Image, ImageChops

from scenes.camera import Camera
from scenes.canvas import Canvas
from scenes.defect_rates import Theme
from scenes.line import stage_a_item
from scenes.parts.fixings import Plug, Screw, paint_lug, paint_plug, paint_screw
from scenes.scene import ScenePlan, draw_scene, plan_scene
from scenes.stage import MOST_OBJECTS, Stage, StageItem
from scenes.vocabulary import FAULTS, LABEL, Fault, Fixing, descs
from vqc.caption import checked_desc
from vqc.codec import render
from vqc.errors import InvalidValue
from vqc.geometry import Kind
from vqc.parser import Status, parse
from vqc.summary import parse as parse_summary
from vqc.summary import render as render_summary

PLANS = [plan_scene(seed, domain=domain) for domain in ("base", "shifted") for seed in range(300)]
RELEVANT = [plan for plan in PLANS if plan.theme is not Theme.IRRELEVANT]
SHIFTED_ONLY = ("诺基亚", "告警箱")


def test_the_same_arguments_draw_the_same_bytes_and_leave_no_trace() -> None:
    first = draw_scene(11)
    draw_scene(12)
    again = draw_scene(11)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.objects == again.objects
    assert draw_scene(12).image.tobytes() != first.image.tobytes()
    assert draw_scene(11, domain="shifted").image.tobytes() != first.image.tobytes()


def test_painting_a_plan_twice_gives_the_same_photo() -> None:
    plan = plan_scene(3)
    assert plan.paint().image.tobytes() == plan.paint().image.tobytes()


@pytest.mark.parametrize("size_wh", [(512, 384), (1024, 768), (640, 360), (384, 512)])
def test_every_size_shows_the_asked_number_of_pixels(size_wh: tuple[int, int]) -> None:
    scene = draw_scene(5, size_wh=size_wh)
    assert scene.image.size == scene.size_wh == size_wh
    assert scene.image.mode == "RGB"


def test_a_larger_photo_shows_the_same_things_larger() -> None:
    small, large = draw_scene(8, theme=Theme.RACK), draw_scene(8, theme=Theme.RACK, size_wh=(1024, 768))
    assert [item.desc for item in small.objects] == [item.desc for item in large.objects]
    for a, b in zip(small.objects, large.objects, strict=True):
        assert [2 * v for v in a.shape.xy] == pytest.approx(b.shape.xy, abs=0.2)


def test_photos_too_small_to_read_are_refused() -> None:
    with pytest.raises(InvalidValue, match="256"):
        draw_scene(0, size_wh=(200, 150))


@pytest.mark.parametrize("domain", ["base", "shifted"])
def test_every_description_is_valid_and_in_the_closed_vocabulary(domain: str) -> None:
    words = set(descs(domain))  # type: ignore[arg-type]
    assert all(checked_desc(desc) == desc for desc in words)
    seen = {item.desc for plan in PLANS if plan.stage.domain == domain for item in plan.objects}
    assert seen <= words
    assert any(mark in desc for desc in words for mark in SHIFTED_ONLY) == (domain == "shifted")


def test_shapes_are_inside_the_photo_and_large_enough_to_be_seen() -> None:
    for item in (item for plan in PLANS for item in plan.objects):
        xs, ys = item.shape.xy[0::2], item.shape.xy[1::2]
        assert min(xs) >= 0
        assert min(ys) >= 0
        assert max(xs) <= 512
        assert max(ys) <= 384
        smallest = 18 if item.shape.kind is not Kind.LINE else 0
        assert min(max(xs) - min(xs), max(ys) - min(ys)) >= smallest, item
        if item.desc.startswith(LABEL):
            assert max(xs) - min(xs) >= 28


def test_lines_have_the_vertices_that_the_rule_states() -> None:
    lines = [item for plan in PLANS for item in plan.objects if item.shape.kind is Kind.LINE]
    assert {len(item.shape.points) for item in lines} == {2, 8, 9}
    for item in lines:
        assert (len(item.shape.points) == 9) == ("不合理" in item.desc)
        assert all(a != b for a, b in pairwise(item.shape.points))


def test_only_things_that_reach_the_edge_are_called_partial() -> None:
    for item in (item for plan in RELEVANT for item in plan.objects if "只显示部分" in item.desc):
        x0, y0, x1, y1 = item.shape.xy
        assert x0 == 0 or y0 == 0 or x1 == 512 or y1 == 384


def test_relevant_photos_show_one_to_fourteen_objects_and_irrelevant_ones_none() -> None:
    for plan in PLANS:
        count = len(plan.objects)
        assert count == 0 if plan.theme is Theme.IRRELEVANT else 1 <= count <= MOST_OBJECTS


def test_captions_round_trip_and_summaries_parse() -> None:
    for seed in range(40):
        scene = draw_scene(seed, size_wh=(256, 192))
        outcome = parse(render(scene.caption))
        assert outcome.status is Status.PARSED
        assert outcome.caption == scene.caption
        line = parse_summary(render_summary(scene.summary))
        assert line.status is Status.PARSED
        assert line.summary == scene.summary
        assert (scene.theme is Theme.IRRELEVANT) == (not scene.summary.items)


def test_the_stage_a_line_counts_every_object_and_no_label_text() -> None:
    scene = next(s for s in map(draw_scene, range(200)) if any(o.desc == "标签/至ODF" for o in s.objects))
    assert sum(count for _, count in scene.summary.items) == len(scene.objects)
    assert {text for text, _ in scene.summary.items} == {stage_a_item(item.desc) for item in scene.objects}
    assert "至ODF" not in render_summary(scene.summary)


@pytest.mark.parametrize("theme", [theme for theme in Theme if theme is not Theme.IRRELEVANT])
@pytest.mark.parametrize("seed", range(4))
def test_what_a_label_covers_is_what_was_drawn(theme: Theme, seed: int) -> None:
    """Painted without one thing, the photo differs exactly where that thing's label is."""
    plan = plan_scene(seed, theme=theme)
    whole = _pixels(plan.stage.items, plan)
    for thing in plan.stage.items:
        if thing.label is None or _is_covered(thing, plan.stage):
            continue
        without = _pixels([other for other in plan.stage.items if other is not thing], plan)
        changed = ImageChops.difference(whole, without).convert("L").point(lambda v: 255 * (v > 2))
        box = changed.getbbox()
        assert box is not None, thing.label
        shown = _bounds(thing)
        if thing.label.shape.kind is Kind.LINE:
            assert all(_near(changed, x, y) for x, y in thing.label.shape.points), thing.label
            continue
        assert box[0] <= shown[0] + 4, thing.label
        assert box[1] <= shown[1] + 4, thing.label
        assert box[2] >= shown[2] - 4, thing.label
        assert box[3] >= shown[3] - 4, thing.label
        if not thing.label.desc.startswith(LABEL):  # a label hangs on a string
            assert box[0] >= shown[0] - 9, thing.label
            assert box[1] >= shown[1] - 9, thing.label
            assert box[2] <= shown[2] + 9, thing.label
            assert box[3] <= shown[3] + 9, thing.label


@pytest.mark.parametrize(("kind", "fault"), [(kind, fault) for kind, faults in FAULTS.items() for fault in faults])
def test_every_fault_can_be_seen(kind: Fixing, fault: Fault) -> None:
    good, bad = _fixing_alone(kind, None), _fixing_alone(kind, fault)
    changed = ImageChops.difference(good, bad).convert("L").point(lambda v: 255 * (v > 24))
    assert changed.histogram()[255] > 100


def test_layouts_have_not_changed_unnoticed() -> None:
    """Other labels for the same seed are a change of the demo data: say so in the changelog and set this again."""
    digests = [hashlib.sha256(repr(plan.objects).encode()).hexdigest()[:8] for plan in PLANS[:3]]
    assert digests == ["76add3c6", "b92e536d", "9d8ada39"]


def _pixels(items: list[StageItem], plan: ScenePlan) -> Image.Image:
    stage = plan.stage
    return Stage(stage.camera, stage.rng, stage.domain, items=items).paint().image.reduce(2)


def _fixing_alone(kind: Fixing, fault: Fault | None) -> Image.Image:
    canvas, hexagonal = Canvas(Camera(size_wh=(512, 384)), (120, 120, 120)), "接地" in kind
    if "螺丝" not in kind:
        paint_plug(canvas, Plug((256, 180), kind, fault, 22.0 if fault else 0.0))
        return canvas.image.reduce(2)
    for turn in (-26.0, 26.0) if fault is Fault.DOUBLE else (0.0,):
        if hexagonal:
            paint_lug(canvas, (256, 180), 12, turn, exposed=fault is Fault.COPPER)
    paint_screw(canvas, Screw((256, 180), 12, fault, 4.0, hexagonal=hexagonal))
    return canvas.image.reduce(2)


def _is_covered(thing: StageItem, stage: Stage) -> bool:
    """Whether a label or a cable hangs over it, so that its outline may be hidden."""
    return any(
        other.depth > thing.depth and other.label and other.label.shape.kind is not Kind.BBOX and _meet(thing, other)
        for other in stage.items
    )


def _meet(a: StageItem, b: StageItem) -> bool:
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = _bounds(a), _bounds(b)
    return ax0 < bx1 + 8 and bx0 < ax1 + 8 and ay0 < by1 + 8 and by0 < ay1 + 8


def _bounds(thing: StageItem) -> tuple[float, float, float, float]:
    assert thing.label
    xs, ys = thing.label.shape.xy[0::2], thing.label.shape.xy[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _near(changed: Image.Image, x: float, y: float) -> bool:
    box = (max(0, int(x) - 7), max(0, int(y) - 7), min(512, int(x) + 8), min(384, int(y) + 8))
    return changed.crop(box).getbbox() is not None
