"""A drawn photo of a meter box with its exact labels.

``draw_photo`` is a pure function: equal arguments give equal bytes under the same Pillow version.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image, ImageFilter

from scenes.camera import Camera, check_size, handheld_camera
from scenes.layouts.irrelevant import lay_irrelevant
from scenes.meters.layouts import LAYOUTS, lay_front
from scenes.meters.words import USUAL, FlawRates, HiddenFlaw, View
from scenes.stage import Stage
from vqc.answer_words import WORDS
from vqc.caption import CaptionObject, DenseCaption
from vqc.geometry import SizeWH
from vqc.summary import Summary, render, summarise

PHOTO_WH: SizeWH = (320, 256)
"""The generator's size of a photo, px: small, so that a small model learns from many."""

VIEWS = {View.FRONT: 0.32, View.ENTRY: 0.34, View.METER: 0.26, View.IRRELEVANT: 0.08}
"""The share of each view if none is requested."""

OTHER_SUBJECTS = ("desk", "street", "blurred")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoPlan:
    """A photo that is laid out but not painted: cheap to make, with known labels."""

    seed: int
    view: View
    stage: Stage
    hidden: HiddenFlaw | None = None
    blur_px: float = 0.0
    """Blur radius that makes the photo unreadable, hence irrelevant."""

    @property
    def size_wh(self) -> SizeWH:
        """Width and height of the painted photo, px."""
        return self.stage.camera.size_wh

    @property
    def objects(self) -> tuple[CaptionObject, ...]:
        """The labels, in pixel space and reading order; none for an irrelevant photo."""
        return () if self.blur_px else self.stage.objects()

    @property
    def caption(self) -> DenseCaption:
        """The dense caption that a model should answer."""
        return DenseCaption.from_pixels(self.objects, self.size_wh)

    @property
    def summary(self) -> Summary:
        """What the photo's line says."""
        return summarise(self.caption, WORDS["en"])

    @property
    def line(self) -> str:
        """The photo's line in English."""
        return render(self.summary, WORDS["en"])

    def paint(self) -> Image.Image:
        """The photo, RGB."""
        light = random.Random(f"meters/light/{self.seed}")
        image = self.stage.paint().render(light)
        return image.filter(ImageFilter.BoxBlur(self.blur_px)) if self.blur_px else image


def plan_photo(
    seed: int,
    *,
    size_wh: SizeWH = PHOTO_WH,
    view: View | None = None,
    rates: FlawRates = USUAL,
    hidden: HiddenFlaw | None = None,
) -> PhotoPlan:
    """The photo of a view (None: chosen by ``VIEWS``) with flaws at the given ``rates``.

    Raises:
        InvalidValue: the photo is smaller than ``scenes.camera.SMALLEST_WH``.
    """
    check_size(size_wh)
    rng = random.Random(f"meters/{seed}")
    view = view or rng.choices(tuple(VIEWS), tuple(VIEWS.values()))[0]
    stage = Stage(handheld_camera(rng, size_wh), rng)
    if view is View.IRRELEVANT:
        subject = rng.choice(OTHER_SUBJECTS)
        if subject == "blurred":
            lay_front(stage, USUAL, None)
            return PhotoPlan(seed=seed, view=view, stage=stage, blur_px=16 * stage.camera.scale)
        lay_irrelevant(stage, subject)
        return PhotoPlan(seed=seed, view=view, stage=stage)
    LAYOUTS[view](stage, rates, hidden)
    while stage.needs_frontal:
        stage = Stage(Camera(size_wh=size_wh), rng)
        LAYOUTS[view](stage, rates, hidden)
    return PhotoPlan(seed=seed, view=view, stage=stage, hidden=hidden)
