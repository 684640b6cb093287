"""A kind of request: its bytes, and the check of what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from typing_extensions import override

from loadtest.http.connection import Reply
from loadtest.http.requests import Target
from loadtest.load.payloads import Payloads
from loadtest.load.scenario import Load

_L = TypeVar("_L", bound=Load)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The result of checking a response.

    ``problem`` describes an error. ``malformed``: the model's text does not parse, which random weights make likely.
    ``first_object_at`` is a moment (``perf_counter``), for streams.
    """

    problem: str | None = None
    malformed: bool = False
    first_object_at: float | None = None
    completion_tokens: int = 0


class Job(Protocol):
    """One kind of request to one server. ``request(n)`` is the same in every run with the same payloads."""

    @property
    def label(self) -> str:
        """Its name in tables."""
        ...

    def request(self, n: int) -> bytes:
        """The first request of exchange ``n``."""
        ...

    def follow(self, reply: Reply) -> bytes | None:
        """The request that fetches the rest of the response; None if it is complete."""
        ...

    def read(self, replies: Sequence[Reply]) -> Reading:
        """Checks the whole response."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadJob(Job, Generic[_L]):
    """A job for one entry of a scenario's mix; one request fetches the whole response."""

    load: _L
    target: Target
    payloads: Payloads

    @property
    @override
    def label(self) -> str:
        return self.load.label

    @override
    def follow(self, reply: Reply) -> bytes | None:
        return None


def describe_rejection(reply: Reply) -> str:
    """A response with an unexpected status, as a sentence."""
    return f"status {reply.status}: {bytes(reply.body[:500]).decode('utf-8', 'replace')}"


def server_sent_events(body: bytes | bytearray) -> Iterator[tuple[str, Any, int]]:
    """Name, JSON data and end of each server-sent event of a body; ``[DONE]`` and comments are left out.

    >>> list(server_sent_events(b'event: done\\ndata: {"n": 1}\\n\\n'))
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
