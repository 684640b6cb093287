"""Writes drawn data sets: JPEG files and JSON lines, in several processes.

Equal arguments give equal files for any number of workers: photo n depends only on the seed and n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

JPEG_QUALITY = 92
SEEDS_APART = 1_000_003
"""Distance between the seeds of two data sets, so that they share no scene below a million photos."""

Progress = Callable[[int, int], None]
"""Called with (written, total) after each photo or ticket."""


def save_jpeg(image: Image.Image, path: Path) -> None:
    """Saves a photo with the data sets' JPEG settings."""
    image.save(path, quality=JPEG_QUALITY)


def map_in_processes(make: Callable[[int], str], count: int, workers: int) -> Iterator[str]:
    """``make`` of 0..count-1 in order, in ``workers`` processes (1: in this process)."""
    if workers <= 1:
        yield from map(make, range(count))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(make, range(count), chunksize=16)


def write_lines(path: Path, lines: Iterable[str], count: int, progress: Progress | None = None) -> Path:
    """Writes ``count`` lines to a file that appears when it is complete; returns its path."""
    partial_path = path.with_name(f"{path.name}.part")
    with partial_path.open("w", encoding="utf-8", newline="\n") as file:
        for n, line in enumerate(lines, start=1):
            file.write(f"{line}\n")
            if progress:
                progress(n, count)
    return partial_path.replace(path)
