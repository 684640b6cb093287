"""The events of a ticket as server-sent events, from which a client can resume."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

from service.platform.admission import AdmissionControl
from service.tickets.store import StoredEvent, TicketStore

_WAIT_S = 1.0


async def is_complete(store: TicketStore, id: str, after: str | None) -> bool:
    """Whether the run has ended and no event is left behind ``after``. Raises ``UnknownTicket``."""
    finished = (await store.get(id)).is_finished
    return finished and not await store.events(id, after)


async def event_pages(
    store: TicketStore, admission: AdmissionControl, id: str, after: str | None
) -> AsyncGenerator[bytes, None]:
    """The bytes of the event stream. It ends with the run, or when the service drains; the client then resumes elsewhere."""
    while not admission.draining:
        events = await store.events(id, after, wait_s=_WAIT_S)
        for event in events:
            after = event.id
            yield event_bytes(event)
        if await is_complete(store, id, after):
            return


def event_bytes(event: StoredEvent) -> bytes:
    r"""One event, with its id.

    >>> event_bytes(StoredEvent(id="7-0", name="started", data={"attempt": 1}))
    b'id: 7-0\nevent: started\ndata: {"attempt": 1}\n\n'
    """
    data = json.dumps(event.data, ensure_ascii=False)
    return f"id: {event.id}\nevent: {event.name}\ndata: {data}\n\n".encode()
