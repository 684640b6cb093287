"""Projects points of the drawn plane onto the photo.

Scenes are laid out on a plane measured in *units*: a 512x384 photo shows 512 by 384 of them, and a larger photo shows
the same plane with more pixels per unit. A camera maps plane units to photo pixels (edge convention) by a homography.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from vqc.errors import InvalidValue
from vqc.geometry import Point, SizeWH

REFERENCE_WH = (512, 384)
SMALLEST_WH = (256, 192)
TILTED_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A view of the plane: rotated by ``angle_deg`` about the photo's centre, zoomed, with keystone per photo width.

    >>> Camera(size_wh=(1024, 768)).project((10, 20))
    (20.0, 40.0)
    """

    size_wh: SizeWH
    angle_deg: float = 0.0
    zoom: float = 1.0
    keystone_xy: tuple[float, float] = (0.0, 0.0)
    pan_xy: tuple[float, float] = (0.0, 0.0)
    """Distance of the point in the photo's centre from that of the plane, in units."""
    scale: float = 0.0
    """Photo pixels per unit at the centre; derived."""
    _cos: float = 1.0
    _sin: float = 0.0

    def __post_init__(self) -> None:
        scale = min(side / reference for side, reference in zip(self.size_wh, REFERENCE_WH, strict=True))
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "_cos", math.cos(math.radians(self.angle_deg)) * scale * self.zoom)
        object.__setattr__(self, "_sin", math.sin(math.radians(self.angle_deg)) * scale * self.zoom)

    @property
    def is_frontal(self) -> bool:
        """Whether the plane's axes are the photo's axes, so that a rectangle projects to a box."""
        return self.angle_deg == 0 and self.keystone_xy == (0.0, 0.0)

    @property
    def plane_wh(self) -> tuple[float, float]:
        """Width and height of the plane in a frontal photo, in units."""
        return self.size_wh[0] / self.scale, self.size_wh[1] / self.scale

    def project(self, point: Point) -> Point:
        """The photo pixel position of a plane point."""
        plane_w, plane_h = self.plane_wh
        dx, dy = point[0] - plane_w / 2 - self.pan_xy[0], point[1] - plane_h / 2 - self.pan_xy[1]
        depth = 1 + self.keystone_xy[0] * dx / plane_w + self.keystone_xy[1] * dy / plane_w
        return (
            self.size_wh[0] / 2 + (dx * self._cos - dy * self._sin) / depth,
            self.size_wh[1] / 2 + (dx * self._sin + dy * self._cos) / depth,
        )

    def project_all(self, points: Iterable[Point]) -> list[Point]:
        """The photo pixel positions of plane points."""
        return [self.project(point) for point in points]

    def scale_at(self, point: Point) -> float:
        """Photo pixels per unit near a plane point."""
        plane_w, plane_h = self.plane_wh
        dx, dy = point[0] - plane_w / 2 - self.pan_xy[0], point[1] - plane_h / 2 - self.pan_xy[1]
        return self.scale * self.zoom / (1 + (self.keystone_xy[0] * dx + self.keystone_xy[1] * dy) / plane_w)

    def with_supersampling(self, factor: int) -> Self:
        """The same view on a photo with ``factor`` times as many pixels per side."""
        width, height = self.size_wh
        return type(self)(
            size_wh=(width * factor, height * factor),
            angle_deg=self.angle_deg,
            zoom=self.zoom,
            keystone_xy=self.keystone_xy,
            pan_xy=self.pan_xy,
        )


def handheld_camera(rng: random.Random, size_wh: SizeWH) -> Camera:
    """A camera as fitters hold it: frontal, or in ``TILTED_SHARE`` of the photos a few degrees off."""
    if rng.random() >= TILTED_SHARE:
        return Camera(size_wh=size_wh)
    return Camera(
        size_wh=size_wh,
        angle_deg=rng.choice((-1, 1)) * rng.uniform(4, 9),
        zoom=rng.uniform(0.98, 1.06),
        keystone_xy=(rng.uniform(-0.16, 0.16), rng.uniform(-0.12, 0.12)),
    )


def check_size(size_wh: SizeWH) -> None:
    """Raises ``InvalidValue`` for a photo smaller than ``SMALLEST_WH``, on which nothing can be read."""
    if size_wh[0] < SMALLEST_WH[0] or size_wh[1] < SMALLEST_WH[1]:
        raise InvalidValue("size_wh", size_wh, f"must be at least {SMALLEST_WH}")
