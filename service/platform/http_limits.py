"""What a connection may cost before its caller is known: bytes, header fields, time, and a place among the connections."""

from __future__ import annotations

import resource
from dataclasses import dataclass

_OTHER_FILES = 192
"""File descriptors that are no connections: listening, logs, Redis, the photo store, spooled uploads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """The limits of a server. Times in seconds."""

    head_bytes: int = 64 * 1024
    """Request line and headers together; also what a chunked body may hold besides its content at one place."""
    head_fields: int = 128
    """Header fields: each is an object, of which 64 KiB could hold 13,000."""
    head_timeout_s: float = 10.0
    """From the connection, or from the first byte of a later request, to the end of its head."""
    body_timeout_s: float = 300.0
    """From the end of the head to the end of the body."""
    body_bytes_per_s: int = 1024
    """The lowest rate of a body, over each ``body_window_s``."""
    body_window_s: float = 10.0
    idle_timeout_s: float = 75.0
    """From a response to the next request of its connection."""
    send_timeout_s: float = 30.0
    """How long a caller may take none of its response; also how long a closed connection may take to end."""
    linger_s: float = 5.0
    """How long the rest of a rejected body is read and dropped: closing at once could destroy the response on its way."""
    connections: int = 2048
    reserved: int = 32
    """Connections above the limit, which are served only what probes ask for."""
    pipelined: int = 16
    """Requests that a connection may send ahead of their responses."""
    bytes_in_flight: int = 128 * 2**20
    """Bodies of all requests together, from their arrival to the end of their response."""


def usable_connections(wanted: int, *, max_in_flight: int) -> int:
    """The connections that the limit on open files allows, at most ``wanted``; raises the soft limit to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if hard == resource.RLIM_INFINITY or soft < hard:
        most = 2**16 if hard == resource.RLIM_INFINITY else min(hard, 2**16)
        soft = max(soft, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # A request in flight has a second connection, to the engine.
    return max(1, min(wanted, max(soft - max_in_flight - _OTHER_FILES, soft // 2)))
