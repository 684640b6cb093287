"""Captions files with the use case of the API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

from engine.protocol import DecodingParams
from service.app.context import Context
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

    async def one(path: Path) -> dict[str, Any]:
        started, request_id = perf_counter(), uuid4().hex
        try:
            result = await context.photos.caption(
                await asyncio.to_thread(path.read_bytes),
                request_id=request_id,
                decoding=decoding,
                timeout_s=context.photos.defaults.timeout_s,
            )
        except VqcError as error:
            return {"photo_file": str(path), "problem": problem_of(error).model_dump(exclude_none=True)}
        answer = caption_out(
            result,
            request_id=request_id,
            coordinates=coordinates,
            total_ms=(perf_counter() - started) * 1000,
        ).model_dump(exclude_none=True)
        if overlay is not None:
            picture = overlay / f"{path.stem}.overlay.png"
            await asyncio.to_thread(lambda: picture.write_bytes(overlay_png(result)))
            answer["overlay_file"] = str(picture)
        return {"photo_file": str(path), **answer}

    return [answer async for _, answer in in_order(photos, one, title="captions")]
