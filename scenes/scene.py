"""A drawn photo with its exact labels: the entry point of the drawn world.

``draw_scene`` is a pure function: equal arguments give equal bytes under the same Pillow version.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial

from PIL import Image, ImageFilter

from scenes.camera import REFERENCE_WH, Camera, check_size, handheld_camera
from scenes.defect_rates import NATURAL, Condition, DefectRates, Hidden, Theme
from scenes.layouts.ground import lay_ground_bar, lay_ground_cabinet
from scenes.layouts.irrelevant import KINDS, lay_irrelevant
from scenes.layouts.plugs import lay_odf, lay_ports
from scenes.layouts.rack import lay_rack
from scenes.layouts.rru import lay_rru, lay_site
from scenes.line import stage_a_summary
from scenes.stage import Stage
from scenes.vocabulary import BBU, Domain
from vqc.caption import CaptionObject, DenseCaption
from vqc.geometry import Kind, SizeWH
from vqc.summary import Summary

SHIELD_ROOM = 50
"""Height under a BBU that its wind shield takes, in units."""
SMALLEST_PART = 18
"""Least side of what is left of an object at the photo's edge, in units of a frontal photo."""
MIX = {
    Theme.RACK: 0.36,
    Theme.PORTS: 0.14,
    Theme.ODF: 0.12,
    Theme.GROUND_CABINET: 0.1,
    Theme.GROUND_BAR: 0.1,
    Theme.RRU: 0.06,
    Theme.RRU_SITE: 0.04,
    Theme.IRRELEVANT: 0.08,
}
"""The share of each theme if none is requested."""

LAYOUTS = {
    Theme.RACK: lay_rack,
    Theme.PORTS: lay_ports,
    Theme.ODF: lay_odf,
    Theme.GROUND_CABINET: lay_ground_cabinet,
    Theme.GROUND_BAR: lay_ground_bar,
    Theme.RRU: lay_rru,
    Theme.RRU_SITE: lay_site,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A drawn photo. ``objects`` are in pixel space (edge convention, 0.1 px) and reading order.

    An irrelevant photo has no objects and an empty summary. ``seed``, ``theme``, ``domain`` and ``hidden`` are the
    arguments it was drawn with.
    """

    image: Image.Image
    objects: tuple[CaptionObject, ...]
    summary: Summary
    size_wh: SizeWH
    seed: int
    theme: Theme
    domain: Domain
    hidden: Hidden | None = None

    @property
    def caption(self) -> DenseCaption:
        """The dense caption that a model should answer."""
        return DenseCaption.from_pixels(self.objects, self.size_wh)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenePlan:
    """A scene that is laid out but not painted: cheap to make, with known labels."""

    seed: int
    theme: Theme
    stage: Stage
    hidden: Hidden | None = None
    blur_px: float = 0.0
    """Blur radius that makes the photo unreadable, hence irrelevant."""
    light: float = 1.0
    """Share of the light; less than 1 makes the photo unreadable as well."""

    @property
    def objects(self) -> tuple[CaptionObject, ...]:
        """The labels of the painted photo."""
        return () if self.blur_px or self.light < 1 else self.stage.objects()

    @property
    def descs(self) -> list[str]:
        """The descriptions of the labels."""
        return [item.desc for item in self.objects]

    @property
    def summary(self) -> Summary:
        """The Stage-A line of the painted photo."""
        return stage_a_summary(self.objects, self.stage.camera.size_wh)

    def paint(self) -> Scene:
        """Paints the scene."""
        stage = self.stage
        light = random.Random(f"light/{stage.domain}/{self.seed}")  # its own stream: painting never shifts the layout's
        image = stage.paint().render(light)
        if self.blur_px:
            image = image.filter(ImageFilter.BoxBlur(self.blur_px))
        if self.light < 1:
            image = image.point([round(level * self.light) for level in range(256)] * 3)
        return Scene(
            image=image,
            objects=self.objects,
            summary=self.summary,
            size_wh=stage.camera.size_wh,
            seed=self.seed,
            theme=self.theme,
            domain=stage.domain,
            hidden=self.hidden,
        )


def draw_scene(
    seed: int,
    *,
    size_wh: SizeWH = REFERENCE_WH,
    domain: Domain = "base",
    theme: Theme | None = None,
    rates: DefectRates = NATURAL,
    hidden: Hidden | None = None,
) -> Scene:
    """Draws a photo of the theme (None: chosen by ``MIX``) with defects at the given ``rates``.

    Raises:
        InvalidValue: the photo is smaller than ``scenes.camera.SMALLEST_WH``.
    """
    return plan_scene(seed, size_wh=size_wh, domain=domain, theme=theme, rates=rates, hidden=hidden).paint()


def plan_scene(
    seed: int,
    *,
    size_wh: SizeWH = REFERENCE_WH,
    domain: Domain = "base",
    theme: Theme | None = None,
    rates: DefectRates = NATURAL,
    hidden: Hidden | None = None,
    condition: Condition | None = None,
) -> ScenePlan:
    """The scene that ``draw_scene`` would paint; with a ``condition``, the same subject photographed badly."""
    check_size(size_wh)
    rng = random.Random(f"scenes/{domain}/{seed}")
    theme = theme or rng.choices(tuple(MIX), tuple(MIX.values()))[0]
    if theme is Theme.IRRELEVANT:
        return _irrelevant(rng, seed, size_wh, domain)
    if condition is Condition.CLOSE_UP:
        stage = _lay_out_near(rng, theme, size_wh, domain, rates, hidden)
    else:
        stage = _lay_out(rng, theme, size_wh, domain, rates, hidden)
    return ScenePlan(
        seed=seed,
        theme=theme,
        stage=stage,
        hidden=hidden,
        blur_px=rng.uniform(11, 16) * stage.camera.scale if condition is Condition.BLURRED else 0.0,
        light=rng.uniform(0.02, 0.15) if condition is Condition.DARK else 1.0,
    )


def _lay_out(
    rng: random.Random, theme: Theme, size_wh: SizeWH, domain: Domain, rates: DefectRates, hidden: Hidden | None
) -> Stage:
    """The theme's layout, tilted or frontal; a layout that does not fit a tilted photo is redone frontally."""
    stage = Stage(handheld_camera(rng, size_wh), rng, domain)
    LAYOUTS[theme](stage, rates, hidden)
    while stage.needs_frontal or not stage.objects():
        stage = Stage(Camera(size_wh=size_wh), rng, domain)
        LAYOUTS[theme](stage, rates, hidden)
    return stage


def _lay_out_near(
    rng: random.Random, theme: Theme, size_wh: SizeWH, domain: Domain, rates: DefectRates, hidden: Hidden | None
) -> Stage:
    """The theme's layout from too near: part of it is outside the photo, and what is inside can be judged."""
    while True:
        zoom = rng.uniform(*((1.2, 1.45) if theme is Theme.RRU_SITE else (1.35, 1.9)))
        reach = (1 - 1 / zoom) / 2
        wide, high = Camera(size_wh=size_wh).plane_wh
        pan = (rng.uniform(-reach, reach) * wide, rng.uniform(-reach, reach) * high)
        stage = Stage(Camera(size_wh=size_wh, zoom=zoom, pan_xy=pan), rng, domain)
        LAYOUTS[theme](stage, rates, hidden)
        if all(map(partial(_can_be_judged, camera=stage.camera), stage.objects())):
            return stage


def _can_be_judged(item: CaptionObject, camera: Camera) -> bool:
    """Whether enough of an object is in the photo; of a BBU also the place of its wind shield, right below it."""
    if item.shape.kind is Kind.LINE:
        return True
    xs, ys = item.shape.xy[0::2], item.shape.xy[1::2]
    below = SHIELD_ROOM * camera.scale * camera.zoom if item.desc.startswith(f"{BBU}/") else 0.0
    large = min(max(xs) - min(xs), max(ys) - min(ys)) >= SMALLEST_PART * camera.scale
    return large and max(ys) + below <= camera.size_wh[1]


def _irrelevant(rng: random.Random, seed: int, size_wh: SizeWH, domain: Domain) -> ScenePlan:
    kind, stage = rng.choice(KINDS), Stage(handheld_camera(rng, size_wh), rng, domain)
    if kind == "blurred":
        lay_rack(stage, NATURAL)
    else:
        lay_irrelevant(stage, kind)
    blur_px = 13 * stage.camera.scale if kind == "blurred" else 0.0
    return ScenePlan(seed=seed, theme=Theme.IRRELEVANT, stage=stage, blur_px=blur_px)
