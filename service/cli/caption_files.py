"""Captions files with the use case of the API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

from engine.protocol import DecodingParams
from service.app.context import Context
from service.cli.file_names import read_photo, readable_name
from service.cli.progress import in_order
from service.photos.answers import caption_out
from service.photos.overlay import overlay_png
from service.photos.schemas import Coordinates
from service.web.problems import problem_of
from vqc.errors import VqcError


async def caption_files(
    context: Context, photos: Sequence[Path], decoding: DecodingParams, coordinates: Coordinates, overlay: Path | None
) -> list[dict[str, Any]]:
    """The responses of ``POST /caption`` for the files, in the order given, each with its ``photo_file``."""

    drawings = drawing_names(photos)

    async def one(n: int) -> dict[str, Any]:
        path, started, request_id = photos[n], perf_counter(), uuid4().hex
        try:
            result = await context.photos.caption(
                await asyncio.to_thread(read_photo, path),
                request_id=request_id,
                decoding=decoding,
                timeout_s=context.photos.defaults.timeout_s,
            )
        except VqcError as error:
            return {"photo_file": readable_name(path), "problem": problem_of(error).model_dump(exclude_none=True)}
        answer = caption_out(
            result,
            request_id=request_id,
            coordinates=coordinates,
            total_ms=(perf_counter() - started) * 1000,
        ).model_dump(exclude_none=True)
        if overlay is not None:
            picture = overlay / drawings[n]
            await asyncio.to_thread(lambda: picture.write_bytes(overlay_png(result)))
            answer["overlay_file"] = readable_name(picture)
        return {"photo_file": readable_name(path), **answer}

    return [answer async for _, answer in in_order(range(len(photos)), one, title="captions")]


def drawing_names(photos: Sequence[Path]) -> list[str]:
    """A file name of its own for the drawing of each photo, also on file systems that ignore case.

    >>> drawing_names([Path("d1/IMG_1.jpg"), Path("d2/IMG_1.jpg"), Path("img_1.png")])
    ['IMG_1.overlay.png', 'IMG_1.2.overlay.png', 'img_1.3.overlay.png']
    """
    names: list[str] = []
    taken: set[str] = set()
    stems = [readable_name(path.stem) for path in photos]
    for stem in stems:
        numbered = (f"{stem}.{n}" for n in count(2))
        name = (
            stem
            if stem.casefold() not in taken
            else next(one for one in numbered if one.casefold() not in taken and one not in stems)
        )
        taken.add(name.casefold())
        names.append(f"{name}.overlay.png")
    return names
