"""What the gate reports of HTTP requests; the metrics implement it."""

from __future__ import annotations

from typing import Literal, Protocol

Refusal = Literal["overloaded", "draining", "body_too_large", "host"]


class HttpObserver(Protocol):
    """Receives every finished or rejected request."""

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request ended; ``status`` 0 means that the client had disconnected."""
        ...

    def refused(self, reason: Refusal) -> None:
        """A request was rejected before any work."""
        ...
