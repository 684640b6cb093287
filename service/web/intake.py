"""A request's body on its way to the routes: its limit, and the moment from which the request counts as work."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from service.platform.errors import BodyTooLarge, BytesOverloaded
from service.platform.http_connections import BytesInFlight
from vqc.errors import VqcError


def check_declared(headers: Headers, max_bytes: int, in_flight: BytesInFlight, counted: int) -> None:
    """Raises ``BodyTooLarge`` or ``BytesOverloaded`` if the declared body has no room, before it is read.

    ``counted`` of its bytes are in flight already: what came with its head.
    """
    declared = headers.get("content-length", "0")
    if not declared.isdecimal():
        return
    if int(declared) > max_bytes:
        raise BodyTooLarge(int(declared), max_bytes)
    if int(declared) - counted > in_flight.limit - in_flight.used:
        raise BytesOverloaded(in_flight.limit)


class BodyIntake:
    """Reads the body for the routes. ``on_complete`` runs when all of it has arrived, ``on_error`` when it is refused."""

    def __init__(
        self,
        receive: Receive,
        max_bytes: int,
        on_complete: Callable[[], object],
        on_error: Callable[[VqcError], None],
    ) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._on_complete = on_complete
        self._on_error = on_error
        self._received = 0
        self._complete = False

    async def receive(self) -> Message:
        """The next message.

        Raises:
            BodyTooLarge: the body is longer than the limit, whatever length was declared.
            Overloaded: no work is admitted any more.
            BodyTimeout, BytesOverloaded: the server has given up the body.
        """
        try:
            message = await self._receive()
            self._received += len(cast(bytes, message.get("body", b"")))
            if self._received > self._max_bytes:
                raise BodyTooLarge(self._received, self._max_bytes)
            if not self._complete and message["type"] == "http.request" and not message.get("more_body", False):
                self._complete = True
                self._on_complete()
        except VqcError as error:
            self._on_error(error)
            raise
        return message
