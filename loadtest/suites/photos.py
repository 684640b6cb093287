"""``vqc-bench photos``: damaged photo files against the reader of photos that trainer, commands and service share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from time import process_time

import click
from PIL import Image

from loadtest.engine_pixels import engine_pixels
from loadtest.errors import BenchFailed
from loadtest.photo_mutations import mutations, whole_photos
from loadtest.report import as_json
from vqc.errors import PhotoRejected
from vqc.image import canonical_photo, canonical_pixels, original_photo


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoRow:
    """What became of the damaged files of one photo.

    ``escaped`` counts errors other than a rejection. ``divided`` counts files that one reader accepts and another rejects,
    and photos that the engine would not see as the trainer does.
    """

    photo: str
    files: int
    photos: int
    rejected: int
    escaped: int
    divided: int
    slowest_ms: float


@click.command()
@click.option("--files", type=click.IntRange(1), default=100_000, show_default=True, help="Number of damaged files.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed damages the same bytes.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def photos(files: int, seed: int, as_document: bool) -> None:
    """Read damaged photos of every format: each must be a photo or be rejected, for trainer, service and engine alike.

    The exit code is 1 if another error escapes, or if the readers disagree.
    """
    rows = measure(files, seed)
    if as_document:
        click.echo(as_json(rows))
    else:
        click.echo(
            f"{'photo':20} {'files':>7} {'photos':>7} {'rejected':>8} {'escaped':>7} {'divided':>7} {'slowest ms':>10}"
        )
        for row in rows:
            click.echo(
                f"{row.photo:20} {row.files:7} {row.photos:7} {row.rejected:8} {row.escaped:7} {row.divided:7} "
                f"{row.slowest_ms:10.1f}"
            )
    if any(row.escaped or row.divided for row in rows):
        raise BenchFailed("a damaged photo was neither read alike by all readers nor rejected by all")


def measure(files: int, seed: int) -> list[PhotoRow]:
    """One row per whole photo, for ``files`` damaged copies in total."""
    counts: dict[str, Counter[str]] = {}
    slowest: Counter[str] = Counter()
    for name, data in islice(mutations(whole_photos(), seed), files):
        started = process_time()
        counts.setdefault(name, Counter())[verdict(data)] += 1
        slowest[name] = max(slowest[name], process_time() - started)  # type: ignore[assignment]
    return list(_rows(counts, slowest))


def verdict(data: bytes) -> str:
    """What the readers make of a file: ``photos``, ``rejected``, ``escaped`` or ``divided``."""
    outcomes = []
    for read in (canonical_photo, canonical_pixels, original_photo):
        try:
            outcomes.append(read(data))
        except PhotoRejected:
            outcomes.append(None)
        except Exception:
            return "escaped"
    photo, pixels, original = outcomes
    if photo is None or pixels is None:
        return "rejected" if photo is pixels is None else "divided"
    alike = original is not None and photo.size_wh == pixels.size and _shows(photo.data, pixels)
    return "photos" if alike else "divided"


def _shows(sent: bytes, pixels: Image.Image) -> bool:
    """Whether the engine sees the trainer's pixels in ``sent``."""
    try:
        seen = engine_pixels(sent)
    except Exception:
        return False
    return (seen.size, seen.tobytes()) == (pixels.size, pixels.tobytes())


def _rows(counts: dict[str, Counter[str]], slowest: Counter[str]) -> Iterator[PhotoRow]:
    for name, found in sorted(counts.items()):
        outcomes = {key: found[key] for key in ("photos", "rejected", "escaped", "divided")}
        yield PhotoRow(photo=name, files=found.total(), **outcomes, slowest_ms=round(1000 * slowest[name], 1))
