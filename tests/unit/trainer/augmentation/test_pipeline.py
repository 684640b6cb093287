"""Pixels and labels move together; labels stay canonical; chance depends on its source alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter

from trainer.augmentation import AugmentationPlan, Pipeline
from trainer.augmentation.labels import incomplete
from trainer.config.augmentation import OpConfig
from vqc.caption import CaptionObject, in_reading_order
from vqc.geometry import Kind, Shape, SizeWH, canonical

OPS: TypeAdapter[OpConfig] = TypeAdapter(OpConfig)
SIZE = (120, 90)
ALL_GEOMETRY = [
    ("hflip", {"prob": 1.0}),
    ("vflip", {"prob": 1.0}),
    ("rotate", {"max_deg": 40.0, "prob": 1.0}),
    ("scale", {"lo": 0.7, "hi": 1.3, "prob": 1.0}),
    ("expand_to_fit_affine", {"multiple": 16}),
    ("expand_to_fit_affine", {"multiple": 16, "max_pixels": 9000}),
    ("pad_to_multiple", {"multiple": 50}),
    ("resize_by_scale", {"lo": 0.5, "hi": 1.6, "align_multiple": 8}),
    ("resize_by_scale", {"lo": 0.5, "hi": 1.6, "align_multiple": None}),
    ("random_crop", {"min_objects": 0, "skip_if_line": False, "scale": [0.5, 0.9], "min_coverage": 0.0}),
]
ALL_COLOR = [
    "color_jitter", "gamma", "hsv", "clahe", "auto_contrast", "solarize", "posterize", "sharpness",
]  # fmt: skip


def pipeline(*ops: tuple[str, dict[str, object]], bypass: float = 0.0) -> Pipeline:
    return Pipeline(tuple(OPS.validate_python({"name": name, "params": params}) for name, params in ops), bypass)


def thing(kind: Kind, xy: tuple[float, ...], desc: str = "BBU设备/华为,显示完整") -> CaptionObject:
    return CaptionObject(shape=Shape(kind, xy), desc=desc)


BOX = thing(Kind.BBOX, (20, 20, 60, 50))
OBJECTS = (
    BOX,
    thing(Kind.QUAD, (70, 10, 110, 20, 105, 40, 65, 30), "标签/5G"),
    thing(Kind.LINE, (5, 80, 60, 60, 115, 85), "光纤"),
)


def plan(
    steps: Pipeline, objects: tuple[CaptionObject, ...] = OBJECTS, seed: int = 0, size: SizeWH = SIZE
) -> AugmentationPlan:
    return steps.plan(objects, size, random.Random(seed))


def dot_centre(image: Image.Image) -> tuple[float, float] | None:
    """Centre, in edge convention, of what is red on the picture."""
    pixels = np.asarray(image).astype(float)
    weight = np.clip(pixels[..., 0] - np.maximum(pixels[..., 1], pixels[..., 2]) - 5, 0, None)
    if weight.sum() < 60:  # the whole dot weighs 5,875, a twentieth of it after two reductions
        return None
    ys, xs = np.mgrid[: weight.shape[0], : weight.shape[1]] + 0.5
    return float((xs * weight).sum() / weight.sum()), float((ys * weight).sum() / weight.sum())


def with_dot(x: int, y: int, size: SizeWH = SIZE) -> Image.Image:
    """A dark photo with a red dot of 5 × 5 px around the edge-convention point (x + 0.5, y + 0.5)."""
    pixels = np.full((size[1], size[0], 3), 20, dtype=np.uint8)
    pixels[y - 2 : y + 3, x - 2 : x + 3] = (255, 0, 0)
    return Image.fromarray(pixels)


def assert_dot_under_its_label(steps: Pipeline, x: int, y: int, seed: int) -> bool:
    """Whether the dot is all there, and so could be compared: of one that was cut the rest has another centre."""
    mark = thing(Kind.LINE, (x + 0.5, y + 0.5, x + 0.5, y + 0.51), "点")
    around = thing(Kind.BBOX, (x - 6, y - 6, x + 7, y + 7), "四周")  # 4 px more than the dot, for what resampling blurs
    planned = plan(steps, (mark, around), seed)
    picture = planned.apply(with_dot(x, y))
    assert picture.size == planned.size_wh
    covered = dict(zip(planned.telemetry.kept_indices, planned.telemetry.coverages, strict=True))
    if covered.get(1, 0) < 1 - 1e-6:
        return False
    (label,) = (item for item in planned.objects if item.desc == "点")
    label_x, label_y = label.shape.points[0]
    found = dot_centre(picture)
    assert found is not None
    assert max(abs(found[0] - label_x), abs(found[1] - label_y)) < 0.5  # px; the law allows 1
    return True


@pytest.mark.parametrize("op", ALL_GEOMETRY, ids=lambda op: op[0])
@settings(max_examples=25, deadline=None)
@given(x=st.integers(8, 111), y=st.integers(8, 81), seed=st.integers(0, 10_000))
def test_a_drawn_dot_lands_under_its_label(op: tuple[str, dict[str, object]], x: int, y: int, seed: int) -> None:
    assert_dot_under_its_label(pipeline(op), x, y, seed)


@settings(max_examples=60, deadline=None)
@given(
    # Each operation once: five halvings in a row leave nothing of the dot to find.
    ops=st.lists(st.sampled_from(ALL_GEOMETRY), min_size=2, max_size=5, unique_by=lambda op: op[0]),
    x=st.integers(8, 111),
    y=st.integers(8, 81),
    seed=st.integers(0, 10_000),
)
def test_a_drawn_dot_lands_under_its_label_after_several_operations(
    ops: list[tuple[str, dict[str, object]]], x: int, y: int, seed: int
) -> None:
    assert_dot_under_its_label(pipeline(*ops), x, y, seed)


@settings(max_examples=100, deadline=None)
@given(
    ops=st.lists(st.sampled_from(ALL_GEOMETRY), min_size=1, max_size=5),
    seed=st.integers(0, 10_000),
    order=st.permutations(range(3)),
)
def test_labels_are_canonical_in_order_and_inside(
    ops: list[tuple[str, dict[str, object]]], seed: int, order: list[int]
) -> None:
    planned = plan(pipeline(*ops), seed=seed)
    width, height = planned.size_wh
    assert list(planned.objects) == in_reading_order(planned.objects)
    for item in planned.objects:
        assert canonical(item.shape) == item.shape
        assert all(-1e-6 <= x <= width + 1e-6 and -1e-6 <= y <= height + 1e-6 for x, y in item.shape.points)
    telemetry = planned.telemetry
    assert len(telemetry.kept_indices) == len(telemetry.coverages) == len(planned.objects)
    assert all(0 < coverage <= 1 for coverage in telemetry.coverages)
    shuffled = plan(pipeline(*ops), tuple(OBJECTS[n] for n in order), seed)
    if not shuffled.telemetry.skips and not telemetry.skips:
        assert shuffled.objects == planned.objects


def test_a_flip_moves_every_pixel_exactly() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    flipped = plan(pipeline(("hflip", {"prob": 1.0})), (), size=(64, 48)).apply(noise)
    assert np.array_equal(np.asarray(flipped), np.asarray(noise)[:, ::-1])
    both = plan(pipeline(("hflip", {"prob": 1.0}), ("vflip", {"prob": 1.0})), (), size=(64, 48)).apply(noise)
    assert np.array_equal(np.asarray(both), np.asarray(noise)[::-1, ::-1])


def test_affine_operations_are_one_resampling_and_colours_come_last() -> None:
    steps = pipeline(
        ("color_jitter", {}),
        ("hflip", {"prob": 1.0}),
        ("rotate", {"prob": 1.0}),
        ("gamma", {}),
        ("pad_to_multiple", {}),
    )
    names = [getattr(step, "func").__name__ for step in plan(steps).steps]  # noqa: B009 - partial has no static attribute
    assert names == ["warp", "pad", "jitter", "correct_gamma"]


def test_colours_never_move_a_label_nor_its_draws() -> None:
    geometry = [("hflip", {}), ("rotate", {"max_deg": 10.0}), ("scale", {})]
    for seed in range(20):
        plain = plan(pipeline(*geometry), seed=seed)
        colored = plan(pipeline(("gamma", {}), *geometry[:1], ("color_jitter", {}), *geometry[1:]), seed=seed)
        assert plain.objects == colored.objects
        assert plain.size_wh == colored.size_wh


@pytest.mark.parametrize("name", ALL_COLOR)
def test_every_colour_operation_changes_pixels_only(name: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(30, 200, (90, 120, 3), dtype=np.uint8))
    planned = plan(pipeline((name, {"prob": 1.0})), seed=3)
    changed = planned.apply(noise)
    assert changed.size == noise.size
    assert changed.mode == "RGB"
    assert changed.tobytes() != noise.tobytes()
    assert planned.apply(noise).tobytes() == changed.tobytes()
    assert planned.objects == tuple(in_reading_order(OBJECTS))


def test_what_a_crop_cuts_is_reworded_and_what_it_hides_is_dropped() -> None:
    whole = thing(Kind.BBOX, (0, 0, 120, 90))
    tiny = [thing(Kind.BBOX, (x, y, x + 2, y + 2), "螺丝") for x in (0, 118) for y in (0, 88)]
    crop = pipeline(("random_crop", {"scale": [0.5, 0.5], "aspect": [1.0, 1.0], "min_objects": 0}))
    planned = plan(crop, (whole, *tiny), seed=5)
    (kept,) = [item for item in planned.objects if item.desc.startswith("BBU")]
    assert kept.desc == "BBU设备/华为,只显示部分"
    assert planned.telemetry.coverages[0] == pytest.approx(0.5, abs=0.02)
    assert planned.telemetry.kept_indices[0] == 0
    assert len(planned.objects) < 5
    assert planned.size_wh == (85, 64)


def test_a_crop_that_hides_too_much_is_left_out_with_its_reason() -> None:
    few = pipeline(("random_crop", {"min_objects": 4}))
    planned = plan(few, OBJECTS)
    assert planned.size_wh == SIZE
    assert planned.steps == ()
    assert planned.telemetry.skips == {"min_objects": 1}
    lines = pipeline(("random_crop", {"min_objects": 0, "scale": [1.0, 1.0]}))
    assert plan(lines).telemetry.skips == {"line_object": 1}
    assert plan(lines).objects == tuple(in_reading_order(OBJECTS))


def test_an_object_turned_out_of_the_picture_is_dropped() -> None:
    corner = thing(Kind.BBOX, (0, 0, 6, 6), "螺丝")
    turned = pipeline(("rotate", {"max_deg": 180.0, "prob": 1.0}))
    kept = [len(plan(turned, (corner, BOX), seed).objects) for seed in range(30)]
    assert set(kept) == {1, 2}


@pytest.mark.parametrize(
    ("desc", "expected"),
    [
        ("BBU设备/华为,显示完整", "BBU设备/华为,只显示部分"),
        ("BBU设备/华为,只显示部分", "BBU设备/华为,只显示部分"),
        ("标签/5G", "标签/5G"),
        ("BBU设备/华为,显示完整/备注:左侧,显示完整", "BBU设备/华为,只显示部分/备注:左侧,显示完整"),
        ("标签/显示完整无误", "标签/显示完整无误"),
    ],
)
def test_only_the_completeness_attribute_is_reworded(desc: str, expected: str) -> None:
    assert incomplete(desc) == expected


def test_geo_axis_keep_and_resize_align() -> None:
    doubled = plan(
        pipeline(("hflip", {"prob": 1.0}), ("resize_by_scale", {"lo": 2.0, "hi": 2.0, "align_multiple": None})),
        (thing(Kind.BBOX, (4, 8, 20, 16)),),
        size=(64, 32),
    )
    assert doubled.size_wh == (128, 64)
    assert doubled.objects[0].shape == Shape(Kind.BBOX, (88, 16, 120, 32))
    aligned = plan(
        pipeline(("resize_by_scale", {"lo": 1.5, "hi": 1.5, "align_multiple": 4})),
        (thing(Kind.BBOX, (10, 10, 20, 20)),),
        size=(60, 40),
    )
    assert aligned.size_wh == (92, 60)
    assert aligned.objects[0].shape.xy == pytest.approx((15, 15, 30, 30), abs=1)


def test_geo_expand_32_keeps_everything_inside() -> None:
    planned = plan(
        pipeline(("rotate", {"max_deg": 30.0, "prob": 1.0}), ("expand_to_fit_affine", {"multiple": 32})),
        (thing(Kind.BBOX, (10, 10, 90, 70)),),
        seed=42,
        size=(100, 80),
    )
    assert planned.size_wh[0] % 32 == planned.size_wh[1] % 32 == 0
    assert planned.objects[0].shape.kind is Kind.QUAD
    assert planned.telemetry.coverages == (1.0,)
    assert 0 < planned.telemetry.padding_ratio < 1


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(32 * 32, 2_000_000))
@settings(deadline=None)
def test_an_expanded_canvas_respects_its_limit(width: int, height: int, max_pixels: int) -> None:
    planned = plan(
        pipeline(("expand_to_fit_affine", {"multiple": 32, "max_pixels": max_pixels})), (), size=(width, height)
    )
    assert planned.size_wh[0] % 32 == planned.size_wh[1] % 32 == 0
    assert planned.size_wh[0] * planned.size_wh[1] <= max_pixels or min(planned.size_wh) == 32


def test_padding_that_a_crop_left_counts_as_padding() -> None:
    steps = pipeline(("scale", {"lo": 0.5, "hi": 0.5, "prob": 1.0}), ("pad_to_multiple", {"multiple": 60}))
    planned = plan(steps, ())
    assert planned.size_wh == (120, 120)
    assert planned.telemetry.padding_ratio == pytest.approx(1 - (60 * 45) / (120 * 120))


def test_ds_bypass() -> None:
    always = pipeline(("hflip", {"prob": 1.0}), bypass=1.0)
    assert all(plan(always, seed=seed).telemetry.bypassed for seed in range(100))
    assert plan(always).steps == ()
    some = pipeline(("hflip", {"prob": 1.0}), bypass=0.1)
    assert 50 <= sum(plan(some, seed=seed).telemetry.bypassed for seed in range(1000)) <= 150


def test_a_kept_layout_takes_colours_and_sizes_only() -> None:
    steps = pipeline(
        ("hflip", {"prob": 1.0}), ("random_crop", {}), ("gamma", {}), ("pad_to_multiple", {"multiple": 50})
    )
    planned = steps.plan(OBJECTS, SIZE, random.Random(0), keep_layout=True)
    assert planned.telemetry.applied == ("gamma", "pad_to_multiple")
    assert planned.telemetry.skips == {"layout": 2}
    assert planned.size_wh == (150, 100)
