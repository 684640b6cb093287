"""Writes Stage-A lines with the use case of the API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from engine.errors import EngineRefused
from engine.protocol import DecodingParams
from service.app.context import Context
from service.cli.progress import in_order
from service.platform.errors import AnswerMalformed
from vqc.errors import InvalidValue
from vqc.missions import Mission
from vqc.summary import render


async def write_summaries(
    context: Context,
    photos: Mapping[str, Path],
    mission: Mission,
    decoding: DecodingParams,
    output: Path,
    concurrency: int,
) -> dict[str, str]:
    """Appends one line per photo to ``output``, in order. Returns the reasons of photos without a line, by image id.

    Raises:
        EngineError: the engine does not answer; what is written stays, and a second run continues from there.
    """

    async def summarise(item: tuple[str, Path]) -> str | Exception:
        try:
            request_id = uuid4().hex
            async with context.models.router.pin(request_id) as pinned:
                result = await context.photos.stage_a.line(
                    await asyncio.to_thread(item[1].read_bytes),
                    engine=pinned.engine,
                    mission=mission,
                    request_id=request_id,
                    decoding=decoding,
                    timeout_s=context.photos.defaults.timeout_s,
                )
        except (InvalidValue, EngineRefused, AnswerMalformed, OSError) as error:
            return error
        assert result.outcome.summary is not None  # a malformed answer was raised
        return render(result.outcome.summary, mission.words)

    failed: dict[str, str] = {}
    with output.open("a", encoding="utf-8") as lines:
        async for (image_id, _), summary in in_order(
            list(photos.items()), summarise, title="stage-a", concurrency=concurrency
        ):
            if isinstance(summary, Exception):
                failed[image_id] = str(summary)
                continue
            lines.write(json.dumps({"image_id": image_id, "summary": summary}, ensure_ascii=False) + "\n")
            lines.flush()
    return failed
