"""Errors of an engine; a branch of the tree in ``vqc.errors``.

EngineError
├── EngineUnavailable   no engine answers: starting, restarting, dead, draining (``reason``); retry later
├── EngineOverloaded    the engine's queue is full; retry later
├── EngineTimeout       the deadline passed; the generation was aborted
├── EngineRefused       the engine rejected the request itself (an undecodable image, a prompt that is too long)
└── EngineFailed        the engine failed on this request, and again on the retry
"""

from __future__ import annotations

from vqc.errors import VqcError


class EngineError(VqcError):
    """Root of the engine branch. ``reason`` is one sentence for a person."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class EngineUnavailable(EngineError):
    """No engine answers at the moment. ``retry_after_s`` is an estimate of when one will."""

    def __init__(self, reason: str, retry_after_s: float = 5.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(reason)


class EngineOverloaded(EngineUnavailable):
    """The engine rejected the request before any work, because its queue is full."""


class EngineTimeout(EngineError):
    """The request's deadline passed before the answer was complete."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        super().__init__(f"no complete answer within {timeout_s:g} s")


class EngineRefused(EngineError):
    """The engine rejected the request's content; a retry cannot succeed."""


class EngineFailed(EngineError):
    """The engine failed on this request and on the retry."""
