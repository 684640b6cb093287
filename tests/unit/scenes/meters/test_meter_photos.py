"""Drawn meter boxes: labels lie inside the picture, are canonical, follow the seed, and use the inspection's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from scenes.curves import BENT_VERTICES
from scenes.meters.layouts import LAYOUTS
from scenes.meters.photo import PHOTO_WH, VIEWS, PhotoPlan, plan_photo
from scenes.meters.rules import CHECKS
from scenes.meters.words import FlawRates, HiddenFlaw, View, descs
from scenes.stage import Stage, StageItem
from tests.support.inspections import inspections
from vqc.caption import checked_desc, in_reading_order
from vqc.codec import render
from vqc.errors import InvalidValue
from vqc.geometry import Kind, canonical
from vqc.parser import Status, parse
from vqc.summary import parse as parse_line

ROOT = Path(__file__).parents[4]
PLANS = [plan_photo(seed) for seed in range(300)]


def test_the_same_seed_draws_the_same_bytes_and_another_one_does_not() -> None:
    first, other, again = (plan_photo(seed) for seed in (11, 12, 11))
    assert first.objects == again.objects
    assert first.paint().tobytes() == again.paint().tobytes() == first.paint().tobytes()
    assert other.paint().tobytes() != first.paint().tobytes()


@pytest.mark.parametrize("size_wh", [PHOTO_WH, (1024, 768), (384, 512)])
def test_every_size_shows_the_asked_number_of_pixels(size_wh: tuple[int, int]) -> None:
    image = plan_photo(5, size_wh=size_wh).paint()
    assert (image.size, image.mode) == (size_wh, "RGB")


def test_photos_too_small_to_read_are_refused() -> None:
    with pytest.raises(InvalidValue, match="256"):
        plan_photo(0, size_wh=(200, 150))


@given(st.integers(0, 2**40), st.sampled_from([PHOTO_WH, (512, 384), (384, 512)]))
def test_labels_are_canonical_inside_the_picture_and_large_enough_to_be_seen(
    seed: int, size_wh: tuple[int, int]
) -> None:
    plan = plan_photo(seed, size_wh=size_wh)
    assert list(plan.objects) == in_reading_order(plan.objects)
    for item in plan.objects:
        xs, ys = item.shape.xy[0::2], item.shape.xy[1::2]
        assert canonical(item.shape) == item.shape
        assert 0 <= min(xs) <= max(xs) <= size_wh[0]
        assert 0 <= min(ys) <= max(ys) <= size_wh[1]
        smallest = 14 if item.shape.kind is not Kind.LINE else 0
        assert min(max(xs) - min(xs), max(ys) - min(ys)) >= smallest, item


def test_every_view_and_every_description_occurs_and_nothing_else() -> None:
    assert {plan.view for plan in PLANS} == set(VIEWS)
    assert {item.desc for plan in PLANS for item in plan.objects} == set(descs())
    for plan in PLANS:
        assert (plan.view is View.IRRELEVANT) == (not plan.objects) == (plan.line == "irrelevant photo")


def test_shapes_follow_their_rule() -> None:
    """A wire is a line: two points in its clips, eight when loose. Everything else is a box or, tilted or open, a quad."""
    for plan in PLANS:
        for item in plan.objects:
            if item.desc.startswith("wire"):
                assert len(item.shape.points) == (BENT_VERTICES if "loose" in item.desc else 2)
            elif item.desc.startswith("seal"):
                assert item.shape.kind is Kind.BBOX
            else:
                upright = plan.stage.camera.is_frontal and item.desc != "cover/open"
                assert item.shape.kind is (Kind.BBOX if upright else Kind.QUAD), item


def test_captions_and_lines_are_read_back() -> None:
    with inspections("meters") as active:
        words = active.inspections[0].words
        for plan in PLANS:
            caption = parse(render(plan.caption))
            assert (caption.status, caption.caption) == (Status.PARSED, plan.caption)
            line = parse_line(plan.line, words)
            assert (line.status, line.summary) == (Status.PARSED, plan.summary)
            assert sum(count for _, count in plan.summary.items) == len(plan.objects)


def test_the_words_are_the_inspection_s() -> None:
    """Each mission is drawn; each description names a key item and says only what the mission's words know."""
    with inspections("meters") as active:
        assert set(CHECKS) == set(active.missions)
        items = [item for mission in active.missions.values() for item in mission.key_items]
        for desc in descs():
            assert checked_desc(desc) == desc
            name, states = desc.split("/")
            (item,) = (item for item in items if item.name == name)
            assert set(re.split(",", states)) <= {*item.positive, *item.negative}, desc


@pytest.mark.parametrize("view", LAYOUTS)
@pytest.mark.parametrize("seed", range(4))
def test_what_a_label_covers_is_what_was_drawn(view: View, seed: int) -> None:
    """Painted without one thing, the photo differs exactly where that thing's label is."""
    plan = plan_photo(seed, size_wh=(512, 384), view=view)
    whole = _pixels(plan, plan.stage.items)
    for thing in plan.stage.items:
        if thing.label is None:
            continue
        without = _pixels(plan, [other for other in plan.stage.items if other is not thing])
        changed = ImageChops.difference(whole, without).convert("L").point(lambda v: 255 * (v > 2))
        box, xs, ys = changed.getbbox(), thing.label.shape.xy[0::2], thing.label.shape.xy[1::2]
        assert box is not None, thing.label
        shadow = 14  # a body's shadow falls to the right and below; an open cover's edge is thin
        assert min(xs) - 9 <= box[0] <= min(xs) + shadow, thing.label
        assert min(ys) - 9 <= box[1] <= min(ys) + shadow, thing.label
        assert max(xs) - shadow <= box[2] <= max(xs) + shadow, thing.label
        assert max(ys) - shadow <= box[3] <= max(ys) + shadow, thing.label


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_each_flaw_can_be_seen(check) -> None:
    """With the same seed, a flaw changes the picture and the descriptions."""
    for flaw in check.flaws:
        sound = plan_photo(3, view=check.view, rates=FlawRates())
        flawed = plan_photo(3, view=check.view, rates=FlawRates(**{flaw: 1.0}))
        assert {item.desc for item in sound.objects} != {item.desc for item in flawed.objects}, flaw
        assert _changed_pixels(sound, flawed) > 60, flaw


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_a_hidden_flaw_shows_in_the_picture_and_in_no_label(check) -> None:
    for seed in range(3):
        sound = plan_photo(seed, view=check.view, rates=FlawRates())
        flawed = plan_photo(seed, view=check.view, rates=FlawRates(), hidden=check.hidden)
        assert flawed.line == sound.line
        assert [item.desc for item in flawed.objects] == [item.desc for item in sound.objects]
        assert _changed_pixels(sound, flawed) > 60
    assert not any(word in desc for word in ("cracked", "damaged", "dented") for desc in descs())
    assert len({check.hidden for check in CHECKS.values()}) == len(HiddenFlaw)


def test_no_other_package_knows_of_meter_boxes() -> None:
    """A second industry is an inspection and data: no package was edited for it."""
    for package in ("vqc", "engine", "registry", "service", "trainer", "loadtest"):
        for path in (ROOT / package).rglob("*.py"):
            assert "scenes.meters" not in path.read_text("utf-8"), path


def test_rates_are_probabilities() -> None:
    with pytest.raises(ValueError, match="seal"):
        FlawRates(seal=1.2)


def _pixels(plan: PhotoPlan, items: list[StageItem]) -> Image.Image:
    return Stage(plan.stage.camera, plan.stage.rng, items=items).paint().image.reduce(2)


def _changed_pixels(a: PhotoPlan, b: PhotoPlan) -> int:
    changed = ImageChops.difference(_pixels(a, a.stage.items), _pixels(b, b.stage.items)).convert("L")
    return sum(changed.point(lambda v: 255 * (v > 24)).histogram()[255:])
