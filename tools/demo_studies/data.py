"""The drawn scenes of all studies: one set to learn from and one held out, each in every domain, and tickets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from PIL import Image, ImageOps

from scenes.rules import RULES
from scenes.write import save_jpeg, write_dataset, write_tickets
from tools.demo_studies.spellings import SPELLINGS, Spelling
from trainer.data.messages import single_turn
from trainer.evaluation.evaluate import labelled

SEEDS = {"train": 61, "val": 62, "tickets": 63}
"""None is one that the demo model was trained on."""


def _with_red_for_blue(photo: Image.Image) -> Image.Image:
    return Image.merge("RGB", photo.split()[::-1])


CAMERAS: dict[str, Callable[[Image.Image], Image.Image]] = {"negatives": ImageOps.invert, "swapped": _with_red_for_blue}
"""The domains beside ``colour``: the same scenes by a camera that delivers negatives, or takes red for blue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The JSONL files under a directory: the scenes in each domain, and ``tickets``."""

    root: Path

    def photos(self, domain: str, split: str) -> Path:
        """Photo records; ``domain`` is colour or one of ``CAMERAS``, ``split`` train or val."""
        return self.root / f"{domain}_{split}" / "data.jsonl"

    def spelled(self, spelling: str) -> Path:
        """The colour scenes of the training set as chats whose answers are captions in a spelling."""
        return self.root / "colour_train" / f"{spelling.replace(' ', '_')}.jsonl"

    @property
    def tickets(self) -> Path:
        """Held-out tickets."""
        return self.root / "tickets_val" / "tickets.jsonl"


def draw(data: Data, *, photos: int, held_out: int, tickets: int, workers: int) -> None:
    """Draws what is not there yet."""
    for split, count in (("train", photos), ("val", held_out)):
        colour = data.photos("colour", split)
        if not colour.exists():
            write_dataset(colour.parent, seed=SEEDS[split], count=count, workers=workers)
        for domain in CAMERAS:
            if not data.photos(domain, split).exists():
                _taken(colour.parent, data.photos(domain, split).parent, domain, workers)
    if not data.tickets.exists():
        write_tickets(data.tickets.parent, seed=SEEDS["tickets"], missions=RULES, count=tickets, workers=workers)
    for name, spelling in SPELLINGS.items():
        if not data.spelled(name).exists():
            text = "".join(chats(data.photos("colour", "train"), spelling))
            data.spelled(name).write_text(text, "utf-8")


def chats(path: Path, spelling: Spelling) -> Iterator[str]:
    """A chat record for each photo record of ``path``, to be written beside it: the caption in this spelling."""
    for photo in labelled(path)[0]:
        assert photo.caption is not None
        image = photo.path.relative_to(path.parent.resolve()).as_posix()
        messages = single_turn(spelling.prompt, [image], spelling.written(photo.caption))
        yield json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def _taken(source: Path, target: Path, domain: str, workers: int) -> None:
    (target / "images").mkdir(parents=True, exist_ok=True)
    photos = sorted((source / "images").iterdir())
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(_photo, target=target / "images", domain=domain), photos, chunksize=64))
    (target / "data.jsonl").write_bytes((source / "data.jsonl").read_bytes())


def _photo(photo: Path, *, target: Path, domain: str) -> None:
    with Image.open(photo) as image:
        save_jpeg(CAMERAS[domain](image.convert("RGB")), target / photo.name)
