"""The photos and lines of request after request: real-looking, distinct, and the same ones for the same seed and run."""

from __future__ import annotations

import random
from dataclasses import dataclass

from loadtest.load.photos import jpeg_photos, stamped
from loadtest.load.scenario import Photos
from scenes.scene import plan_scene
from vqc.summary import render


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """``run`` tells the photos of one run from those of all others, so that no cache has seen them."""

    drawn: tuple[bytes, ...]
    lines: tuple[str, ...]
    repeated: float
    run: str

    def photos(self, n: int, count: int) -> list[bytes]:
        """The photos of request ``n``."""
        draw = random.Random(n)
        return [self._photo(draw, n, k) for k in range(count)]

    def lines_of(self, n: int, count: int) -> list[str]:
        """Their Stage-A lines, as the scenes' labels have them."""
        return [self.lines[(n * count + k) % len(self.lines)] for k in range(count)]

    def _photo(self, draw: random.Random, n: int, k: int) -> bytes:
        photo = self.drawn[(n + k) % len(self.drawn)]
        return photo if draw.random() < self.repeated else stamped(photo, f"{self.run}-{n}-{k}")


def supply_of(photos: Photos, run: str) -> Supply:
    """Draws the photos: about 30 ms each at 1024×768."""
    return Supply(
        drawn=tuple(jpeg_photos(photos.drawn, (photos.width, photos.height))),
        lines=tuple(render(plan_scene(seed).summary) for seed in range(photos.drawn)),
        repeated=photos.repeated,
        run=run,
    )
