"""Server-sent events: named JSON events, keep-alive comments, an end when the client goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import StreamingResponse

from service.web.disconnect import disconnected

KEEP_ALIVE_S = 15.0
"""Longest silence on an open stream; proxies close quieter ones."""


def event(name: str, data: BaseModel) -> bytes:
    """One event as it goes over the wire."""
    return f"event: {name}\ndata: {data.model_dump_json(exclude_none=True)}\n\n".encode()


def event_stream(request: Request, events: AsyncGenerator[bytes, None], headers: dict[str, str]) -> StreamingResponse:
    """The response that sends ``events`` until they end or the client is gone; closes the generator either way."""
    headers = {**headers, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_kept_alive(request, events), media_type="text/event-stream", headers=headers)


async def _kept_alive(request: Request, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    gone = asyncio.ensure_future(disconnected(request))
    upcoming = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming, gone}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
            if gone in done:
                return
            if not done:
                yield b": keep-alive\n\n"
                continue
            try:
                yield upcoming.result()
            except StopAsyncIteration:
                return
            upcoming = asyncio.ensure_future(anext(events))
    finally:
        gone.cancel()
        upcoming.cancel()
        await asyncio.gather(gone, upcoming, return_exceptions=True)
        await events.aclose()
