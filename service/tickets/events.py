"""A ticket's events as server-sent ones, resumable behind any of them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

from service.platform.admission import Intake
from service.tickets.store import StoredEvent, TicketStore

_WAIT_S = 1.0


async def nothing_left(store: TicketStore, id: str, after: str | None) -> bool:
    """Whether the run has ended and every event was told. Raises ``UnknownTicket``."""
    finished = (await store.get(id)).finished
    return finished and not await store.events(id, after)


async def event_pages(store: TicketStore, intake: Intake, id: str, after: str | None) -> AsyncGenerator[bytes, None]:
    """The events as they go over the wire; ends with the run, or when this service leaves (the client comes again)."""
    while not intake.draining:
        told = await store.events(id, after, wait_s=_WAIT_S)
        for event in told:
            after = event.id
            yield event_bytes(event)
        if await nothing_left(store, id, after):
            return


def event_bytes(event: StoredEvent) -> bytes:
    r"""One event with its id.

    >>> event_bytes(StoredEvent(id="7-0", name="started", data={"attempt": 1}))
    b'id: 7-0\nevent: started\ndata: {"attempt": 1}\n\n'
    """
    data = json.dumps(event.data, ensure_ascii=False)
    return f"id: {event.id}\nevent: {event.name}\ndata: {data}\n\n".encode()
