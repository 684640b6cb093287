"""The photos to learn verdicts from show each mission's flaws, and bad photos show what their labels say."""

from __future__ import annotations

from collections import Counter

from scenes.defect_rates import Condition, Hidden, Theme
from scenes.lessons import plan_lesson
from scenes.scene import plan_scene
from vqc.geometry import Kind

PLANS = [plan_lesson(seed) for seed in range(400)]


def test_every_subject_and_every_hidden_flaw_occurs() -> None:
    assert {plan.theme for plan in PLANS} == set(Theme) - {Theme.IRRELEVANT}
    hidden = Counter(plan.hidden for plan in PLANS)
    assert set(hidden) == {None, *Hidden}
    assert 0.1 < 1 - hidden[None] / len(PLANS) < 0.3


def test_a_dark_or_blurred_photo_shows_nothing() -> None:
    for condition in (Condition.DARK, Condition.BLURRED):
        plan = plan_scene(3, theme=Theme.RACK, size_wh=(256, 192), condition=condition)
        assert plan.objects == ()
        assert plan.summary.items == ()
    dark = plan_scene(3, theme=Theme.RACK, size_wh=(256, 192), condition=Condition.DARK).paint()
    assert max(dark.image.convert("L").tobytes()) < 48


def test_what_a_close_up_shows_is_inside_it_and_large_enough() -> None:
    plans = [
        plan_scene(seed, theme=theme, condition=Condition.CLOSE_UP)
        for seed in range(12)
        for theme in Theme
        if theme is not Theme.IRRELEVANT
    ]
    for item in (item for plan in plans for item in plan.objects):
        xs, ys = item.shape.xy[0::2], item.shape.xy[1::2]
        assert min(xs) >= 0
        assert min(ys) >= 0
        assert max(xs) <= 512
        assert max(ys) <= 384
        assert item.shape.kind is Kind.LINE or min(max(xs) - min(xs), max(ys) - min(ys)) >= 18
    assert any(not plan.objects for plan in plans)
    assert any("只显示部分" in item.desc for plan in plans for item in plan.objects)
