"""A scene while it is laid out: what will be painted, and its labels.

Layouts work in plane units and add items to the stage; painting begins when the whole layout is known. Owns the label
geometry: each ``*_shape`` returns the pixel-space shape that covers what the matching painter draws.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scenes.camera import Camera
from scenes.canvas import RGB, Canvas
from scenes.curves import clip_to_photo, resample
from scenes.vocabulary import Domain
from vqc.caption import CaptionObject, in_reading_order
from vqc.geometry import Kind, Point, Shape, polyline_length, rectangle_corners

Painter = Callable[[Canvas], None]
Box = tuple[float, float, float, float]
MOST_OBJECTS = 14


@dataclass(frozen=True, slots=True)
class StageItem:
    """Something to paint; higher ``depth`` is nearer to the viewer. Without a label it is clutter."""

    depth: int
    paint: Painter
    label: CaptionObject | None = None


@dataclass(slots=True)
class Stage:
    """A scene being laid out for one camera."""

    camera: Camera
    rng: random.Random
    domain: Domain = "base"
    background: RGB = (120, 122, 126)
    items: list[StageItem] = field(default_factory=list)
    occupied: list[Box] = field(default_factory=list)
    """Plane rectangles that no label may cover."""
    paths: list[Sequence[Point]] = field(default_factory=list)
    """Plane paths of the cables so far."""
    needs_frontal: bool = False
    """Whether a unit did not fit into a tilted photo, so that the layout must be redone frontally."""

    def add_clutter(self, paint: Painter, depth: int = 0) -> None:
        """Adds something without a label."""
        self.items.append(StageItem(depth, paint))

    def add_item(self, shape: Shape | None, desc: str, paint: Painter, depth: int) -> bool:
        """Adds a labelled object, unless it has no shape (is outside the photo). Returns whether it was added."""
        if shape is None:
            return False
        rounded = Shape(shape.kind, tuple(round(v, 1) for v in shape.xy))
        self.items.append(StageItem(depth, paint, CaptionObject(shape=rounded, desc=desc)))
        return True

    def add_unit(self, box: Box, desc: Callable[[bool], str], paint: Painter, depth: int) -> None:
        """Adds a rack unit; its description depends on whether all of it is in the photo."""
        width, height = self.camera.size_wh
        shape, corners = self.unit_shape(box), self.camera.project_all(rectangle_corners(box))
        whole = all(0 <= x <= width and 0 <= y <= height for x, y in corners)
        self.needs_frontal |= not self.add_item(shape, desc(whole), paint, depth) and not self.camera.is_frontal

    def is_free(self, box: Box, margin: float) -> bool:
        """Whether neither an occupied rectangle nor a cable is within ``margin`` of a plane rectangle."""
        x0, y0, x1, y1 = box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin
        if any(x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b in self.occupied):
            return False
        steps = (resample(path, max(2, int(polyline_length(path) / 10))) for path in self.paths)
        return not any(x0 < x < x1 and y0 < y < y1 for points in steps for x, y in points)

    def is_clear(self, path: Sequence[Point], distance: float) -> bool:
        """Whether a path, except for its first steps, stays away from other cables and from occupied rectangles."""
        mine = resample(path, max(5, int(polyline_length(path) / 14)))[2:]
        if any(b[0] < x < b[2] and b[1] < y < b[3] for x, y in mine for b in self.occupied):
            return False
        theirs = [point for other in self.paths for point in resample(other, max(2, int(polyline_length(other) / 14)))]
        return all(abs(x - u) > distance or abs(y - v) > distance for x, y in mine for u, v in theirs)

    @property
    def is_full(self) -> bool:
        """Whether the photo has its maximum number of objects; small objects are then skipped."""
        return sum(item.label is not None for item in self.items) >= MOST_OBJECTS

    def objects(self) -> tuple[CaptionObject, ...]:
        """The labels in reading order."""
        return tuple(in_reading_order(item.label for item in self.items if item.label))

    def paint(self) -> Canvas:
        """Paints the items from back to front."""
        canvas = Canvas(self.camera, self.background)
        for item in sorted(self.items, key=lambda item: item.depth):
            item.paint(canvas)
        return canvas

    def unit_shape(self, box: Box) -> Shape | None:
        """The shape of a plane rectangle: a box clipped to the photo or, tilted, a quad inside it."""
        corners = self.camera.project_all(rectangle_corners(box))
        if not self.camera.is_frontal:
            return self._inside(Shape.from_points(Kind.QUAD, corners))
        width, height = self.camera.size_wh
        (x0, y0), (x1, y1) = corners[0], corners[2]
        xy = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
        return Shape(Kind.BBOX, xy) if xy[0] < xy[2] and xy[1] < xy[3] else None

    def whole_unit_shape(self, box: Box) -> Shape | None:
        """As ``unit_shape``, but None unless the whole unit is in the photo."""
        shape = self.unit_shape(box)
        return shape if self.quad_shape(rectangle_corners(box)) else None

    def quad_shape(self, corners: Sequence[Point]) -> Shape | None:
        """Four plane points as a quad, if it is inside the photo."""
        return self._inside(Shape.from_points(Kind.QUAD, self.camera.project_all(corners)))

    def disc_shape(self, circles: Sequence[tuple[Point, float]]) -> Shape | None:
        """The box around circles (centre, radius), if it is inside the photo."""
        boxes = [(*self.camera.project(center), radius * self.camera.scale_at(center)) for center, radius in circles]
        xy = (
            min(x - r for x, _, r in boxes),
            min(y - r for _, y, r in boxes),
            max(x + r for x, _, r in boxes),
            max(y + r for _, y, r in boxes),
        )
        return self._inside(Shape(Kind.BBOX, xy))

    def line_shape(self, path: Sequence[Point], vertices: int | None) -> Shape | None:
        """The label of a drawn path: ``vertices`` even points of its part inside the photo.

        With None, it has all of the path's own points, which must then be inside except for the last.
        """
        inside = clip_to_photo(self.camera.project_all(path), self.camera.size_wh)
        if len(inside) < (2 if vertices else len(path)) or polyline_length(inside) < 40 * self.camera.scale:
            return None
        return Shape.from_points(Kind.LINE, resample(inside, vertices) if vertices else inside)

    def _inside(self, shape: Shape) -> Shape | None:
        width, height = self.camera.size_wh
        inside = all(0 <= x <= width and 0 <= y <= height for x, y in shape.points)
        return shape if inside else None


def rotated_corners(box: Box, center: Point, angle_deg: float) -> list[Point]:
    """The corners of a plane rectangle rotated clockwise about a point."""
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return [
        (
            center[0] + (x - center[0]) * cos - (y - center[1]) * sin,
            center[1] + (x - center[0]) * sin + (y - center[1]) * cos,
        )
        for x, y in rectangle_corners(box)
    ]
