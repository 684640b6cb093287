"""What can go wrong between a caller and its engine; a branch of the tree in ``vqc.errors``.

EngineError
├── EngineUnavailable   no engine answers: starting, restarting, dead, draining (``reason``); retry later
├── EngineOverloaded    the engine's queue is full; retry later
├── EngineTimeout       the deadline passed; the generation was aborted
├── EngineRefused       the engine says the request itself is wrong (an image it cannot decode, too long a prompt)
└── EngineFailed        the engine failed on this request and a retry did not help
"""

from __future__ import annotations

from vqc.errors import VqcError


class EngineError(VqcError):
    """Root of the engine branch. ``reason`` is one sentence for a person."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class EngineUnavailable(EngineError):
    """No engine answers at the moment. ``retry_after_s`` is a guess at when it will."""

    def __init__(self, reason: str, retry_after_s: float = 5.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(reason)


class EngineOverloaded(EngineUnavailable):
    """The engine refused before any work because its queue is full."""


class EngineTimeout(EngineError):
    """The request's deadline passed before the answer was complete."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        super().__init__(f"no complete answer within {timeout_s:g} s")


class EngineRefused(EngineError):
    """The engine will never answer this request: its content is wrong."""


class EngineFailed(EngineError):
    """The engine failed on this request, and so did the one retry."""
