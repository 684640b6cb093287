"""A client that goes away takes its work with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import Request

_T = TypeVar("_T")


class ClientGone(Exception):
    """The client closed the connection; nobody reads what would be answered."""


async def while_connected(request: Request, work: Awaitable[_T]) -> _T:
    """The result of ``work``, cancelled when the client disconnects first. The body must have been read.

    Raises:
        ClientGone: the client disconnected.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(disconnected(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for pending in (task, watch):
            pending.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def disconnected(request: Request) -> None:
    """Returns when the client has closed the connection. The body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
