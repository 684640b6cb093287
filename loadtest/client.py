"""The closed-loop client: C keep-alive connections, each sends its next request when the last answer is complete.

Cheap on purpose, so that it measures the server and not itself: requests are ready bytes, answers are read by length,
and only a sample of the bodies is read as JSON. Times are ``perf_counter`` seconds from the first byte handed to the
socket to the last byte of the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from types import TracebackType
from typing import Self, cast

from loadtest.errors import BenchFailed
from loadtest.http.requests import Answer, AnswerReader, Target

CHECK_EVERY = 50
"""Each connection's first answer and every so many after it are checked whole; of the others the status."""

FINISH_TIMEOUT_S = 60.0

BodyCheck = Callable[[bytes], str | None]
"""Says what is wrong with a 200 answer's body; None when nothing is."""


@dataclass(slots=True)
class Tally:
    """What the connections saw. ``answers`` and ``errors`` count from the start, ``latencies_s`` while ``recording``."""

    recording: bool = False
    latencies_s: list[float] = field(default_factory=list)
    answers: int = 0
    errors: int = 0
    problem: str | None = None

    def failed(self, problem: str) -> None:
        """Counts an error and keeps the text of the first."""
        self.errors += 1
        self.problem = self.problem or problem


class ClosedLoop:
    """Keeps ``connections`` requests in flight inside ``async with``; the end waits for the last answers."""

    def __init__(self, target: Target, requests: Sequence[bytes], connections: int, check: BodyCheck) -> None:
        self.tally = Tally()
        self.stopping = False
        self.waiting_for_first = connections
        self._target = target
        self._connections = [_Connection(self, requests, n, check) for n in range(connections)]
        self._open = 0
        self._warm = asyncio.Event()
        self._empty = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Opens the connections.

        Raises:
            BenchFailed: nobody listens.
        """
        loop = asyncio.get_running_loop()
        try:
            for connection in self._connections:
                await loop.create_connection(lambda c=connection: c, self._target.host, self._target.port)
        except OSError as error:
            self._abort()
            raise BenchFailed(f"cannot connect to {self._target.host}:{self._target.port}: {error}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Lets the answers in flight arrive, then closes; closes at once after an error."""
        self.stopping = True
        if kind is None:
            await self._wait(self._empty, FINISH_TIMEOUT_S)
        self._abort()

    async def warm_up(self, seconds: float, timeout_s: float) -> None:
        """Returns after ``seconds`` at least, when every connection has had an answer.

        Raises:
            BenchFailed: some connection has had none after ``timeout_s``.
        """
        await self.hold(seconds)
        if not await self._wait(self._warm, timeout_s):
            raise BenchFailed(
                f"{self.waiting_for_first} of {len(self._connections)} connections got no answer in {timeout_s:g} s"
            )

    async def hold(self, seconds: float) -> None:
        """Keeps loading for ``seconds``, less when no connection is left."""
        await self._wait(self._empty, seconds)

    def opened(self) -> None:
        """A connection is open."""
        self._open += 1

    def answered_first(self) -> None:
        """A connection has had its first answer, or will have none."""
        self.waiting_for_first -= 1
        if not self.waiting_for_first:
            self._warm.set()

    def closed(self) -> None:
        """A connection has closed."""
        self._open -= 1
        if not self._open:
            self._empty.set()

    @staticmethod
    async def _wait(event: asyncio.Event, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await event.wait()
        except TimeoutError:
            return False

    def _abort(self) -> None:
        self.stopping = True
        for connection in self._connections:
            connection.abort()


class _Connection(asyncio.Protocol):
    """One connection; begins at its own place in the rotation of requests."""

    def __init__(self, loop: ClosedLoop, requests: Sequence[bytes], position: int, check: BodyCheck) -> None:
        self._loop = loop
        self._requests = requests
        self._position = position
        self._check = check
        self._reader = AnswerReader()
        self._answers = 0
        self._sent_at = 0.0
        self._in_flight = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the first request."""
        self._transport = cast(asyncio.Transport, transport)
        self._loop.opened()
        self._send()

    def data_received(self, data: bytes) -> None:
        """Takes in the answer, and sends the next request when it is complete."""
        try:
            answer = self._reader.feed(data)
        except BenchFailed as error:
            return self._fail(str(error))
        if answer is not None:
            self._take(answer, perf_counter())
            if self._loop.stopping:
                self.abort()
            else:
                self._send()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer that was still expected is an error."""
        if self._in_flight and not self._loop.stopping:
            self._in_flight = False
            self._loop.tally.failed(f"the connection closed before the answer was complete: {exc or 'end of stream'}")
        if not self._answers:
            self._loop.answered_first()
        self._loop.closed()

    def abort(self) -> None:
        """Closes at once; nothing that still comes counts."""
        self._in_flight = False
        if self._transport:
            self._transport.abort()

    def _send(self) -> None:
        assert self._transport is not None
        request = self._requests[self._position % len(self._requests)]
        self._position += 1
        self._in_flight = True
        self._sent_at = perf_counter()
        self._transport.write(request)

    def _take(self, answer: Answer, now: float) -> None:
        self._in_flight = False
        tally, whole = self._loop.tally, self._answers % CHECK_EVERY == 0
        self._answers += 1
        tally.answers += 1
        if answer.status != 200:
            tally.failed(f"status {answer.status}: {answer.body[:500].decode('utf-8', 'replace')}")
        elif whole and (fault := self._check(answer.body)):
            tally.failed(fault)
        elif tally.recording:
            tally.latencies_s.append(now - self._sent_at)
        if self._answers == 1:
            self._loop.answered_first()

    def _fail(self, problem: str) -> None:
        self._in_flight = False
        self._loop.tally.failed(problem)
        self.abort()
