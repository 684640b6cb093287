"""What an answer turned out to be, and what every kind of request has in common."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from loadtest.http.connection import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """``problem`` is an error, in words. ``malformed``: the model's own text could not be read, which is nobody's fault
    where its weights are random. ``first_object_at`` is a moment (``perf_counter``), for streams.
    """

    problem: str | None = None
    malformed: bool = False
    first_object_at: float | None = None
    completion_tokens: int = 0


class Job(Protocol):
    """One kind of request to one server. ``request`` ``n`` of a run is always the same bytes."""

    @property
    def label(self) -> str:
        """What tables call it."""
        ...

    def request(self, n: int) -> bytes:
        """The first request of exchange ``n``, whole."""
        ...

    def follow(self, reply: Reply) -> bytes | None:
        """The request that brings the rest of the answer, where there is more to fetch."""
        ...

    def read(self, replies: Sequence[Reply]) -> Reading:
        """Checks the answer: every one, whole."""
        ...


def refused(reply: Reply) -> str:
    """An answer that is none, in words."""
    return f"status {reply.status}: {bytes(reply.body[:500]).decode('utf-8', 'replace')}"


def events(body: bytes | bytearray) -> Iterator[tuple[str, Any, int]]:
    """Name, JSON data and end of each server-sent event of a body; ``[DONE]`` and comments are left out.

    >>> list(events(b'event: done\\ndata: {"n": 1}\\n\\n'))
    [('done', {'n': 1}, 28)]
    """
    end = 0
    for block in bytes(body).split(b"\n\n"):
        end += len(block) + 2
        fields = dict(
            line.split(b": ", 1) for line in block.split(b"\n") if b": " in line and not line.startswith(b":")
        )
        if (data := fields.get(b"data", b"[DONE]")) != b"[DONE]":
            yield fields.get(b"event", b"message").decode(), json.loads(data), end
