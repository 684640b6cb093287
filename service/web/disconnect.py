"""Cancels the work of a client that disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import Request

_T = TypeVar("_T")


class ClientGone(Exception):
    """The client closed the connection: a response has no reader."""


async def while_connected(request: Request, work: Awaitable[_T]) -> _T:
    """The result of ``work``, which is cancelled if the client disconnects first. The body must have been read.

    Raises:
        ClientGone: the client disconnected.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(wait_for_disconnect(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        # Awaited after the cancel: the engine's slot is free before the request counts as ended.
        for pending in (task, watch):
            pending.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def wait_for_disconnect(request: Request) -> None:
    """Returns when the client has closed the connection. The body must have been read: ``receive`` would take parts of it."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
