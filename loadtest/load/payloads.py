"""Photos and lines of each request: realistic, distinct, and the same for the same run and number."""

from __future__ import annotations

import random
from dataclasses import dataclass

from loadtest.load.photos import jpeg_photos, stamp_photo
from loadtest.load.scenario import Photos
from scenes.scene import plan_scene
from vqc.summary import render


@dataclass(frozen=True, slots=True, kw_only=True)
class Payloads:
    """``run`` marks the photos of one run, so that no cache has seen them; ``repeated`` is the share left unmarked."""

    drawn: tuple[bytes, ...]
    lines: tuple[str, ...]
    repeated: float
    run: str

    def photos(self, n: int, count: int) -> list[bytes]:
        """The photos of request ``n``."""
        draw = random.Random(n)
        return [self._photo(draw, n, k) for k in range(count)]

    def lines_of(self, n: int, count: int) -> list[str]:
        """The Stage-A lines of request ``n``, from the labels of the scenes."""
        return [self.lines[(n * count + k) % len(self.lines)] for k in range(count)]

    def _photo(self, draw: random.Random, n: int, k: int) -> bytes:
        photo = self.drawn[(n + k) % len(self.drawn)]
        return photo if draw.random() < self.repeated else stamp_photo(photo, f"{self.run}-{n}-{k}")


def draw_payloads(photos: Photos, run: str) -> Payloads:
    """Draws the photos; about 30 ms each at 1024×768."""
    return Payloads(
        drawn=tuple(jpeg_photos(photos.drawn, (photos.width, photos.height))),
        lines=tuple(render(plan_scene(seed).summary) for seed in range(photos.drawn)),
        repeated=photos.repeated,
        run=run,
    )
