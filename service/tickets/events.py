"""The events of a ticket as server-sent events, from which a client can resume."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence

from service.platform.errors import QueueUnavailable
from service.tickets.store import FINISHED, StoredEvent, TicketStore


async def event_pages(store: TicketStore, id: str, after: str | None) -> AsyncGenerator[bytes, None] | None:
    """The bytes of the event stream, which ends with the run; None if the run has ended and no event is left behind ``after``.

    Raises:
        UnknownTicket, QueueUnavailable: before the stream begins; afterwards it outlasts an outage.
    """
    finished = (await store.get(id)).is_finished
    first = await store.events(id, after)
    return None if finished and not first else _pages(store, id, after, first, finished)


async def _pages(
    store: TicketStore, id: str, after: str | None, events: Sequence[StoredEvent], finished: bool
) -> AsyncGenerator[bytes, None]:
    while True:
        for event in events:
            after = event.id
            finished = finished or event.name == FINISHED
            yield event_bytes(event)
        # The record is read only when the run has ended: it may have begun again since, and webhooks follow the end.
        if finished and await _is_complete(store, id, after):
            return
        events = await store.events(id, after, wait_s=None)


async def _is_complete(store: TicketStore, id: str, after: str | None) -> bool:
    try:
        return (await store.get(id)).is_finished and not await store.events(id, after)
    except QueueUnavailable:
        return True  # the client resumes behind ``after``


def event_bytes(event: StoredEvent) -> bytes:
    r"""One event, with its id.

    >>> event_bytes(StoredEvent(id="7-0", name="started", data={"attempt": 1}))
    b'id: 7-0\nevent: started\ndata: {"attempt": 1}\n\n'
    """
    data = json.dumps(event.data, ensure_ascii=False)
    return f"id: {event.id}\nevent: {event.name}\ndata: {data}\n\n".encode()
