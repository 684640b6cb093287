"""Server-sent events: named JSON events, keep-alive comments, an end when the client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import StreamingResponse

from service.web.disconnect import wait_for_disconnect
from service.web.services import key_is_still_valid

KEEP_ALIVE_S = 15.0
"""The longest silence on an open stream: proxies close connections that are silent for longer."""


def event(name: str, data: BaseModel) -> bytes:
    """One event as it goes over the wire."""
    return f"event: {name}\ndata: {data.model_dump_json(exclude_none=True)}\n\n".encode()


def event_stream(
    request: Request,
    events: AsyncGenerator[bytes, None],
    headers: dict[str, str],
    *,
    stop: asyncio.Event | None = None,
) -> StreamingResponse:
    """The response that sends ``events`` until they end, the client disconnects or ``stop`` is set; then closes them.

    It also ends when the API key that it began with is revoked or expires: with the next event or keep-alive.
    """
    headers = {**headers, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _with_keep_alive(request, events, stop or asyncio.Event()), media_type="text/event-stream", headers=headers
    )


async def _with_keep_alive(
    request: Request, events: AsyncGenerator[bytes, None], stop: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    endings = {asyncio.ensure_future(wait_for_disconnect(request)), asyncio.ensure_future(stop.wait())}
    # A task, not an await under a timeout: a timeout would cancel the generator, and with it the generation, mid-event.
    upcoming = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait(
                {upcoming, *endings}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if done & endings or not key_is_still_valid(request):
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
        for waiting in (upcoming, *endings):
            waiting.cancel()
        await asyncio.gather(upcoming, *endings, return_exceptions=True)
        # The generator is idle now that ``upcoming`` has ended: closing a running one raises RuntimeError.
        await events.aclose()
