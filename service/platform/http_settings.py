"""The settings of the HTTP server: what a connection and a request may cost, before and after the caller is known."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from service.platform.http_limits import HttpLimits, usable_connections


class HttpSettings(BaseSettings):
    """A part of the settings; ``Settings`` has the rest."""

    max_in_flight: int = Field(
        256, ge=1, description="Maximum number of requests in flight; above it a request is rejected with 429."
    )
    max_body_bytes: int = Field(
        64 * 2**20, ge=1024, description="Maximum size of the body of a request with photos, in bytes; above it 413."
    )
    max_small_body_bytes: int = Field(
        2**20, ge=1024, description="Maximum size of every other request body, in bytes; above it 413."
    )
    max_bytes_in_flight: int = Field(
        128 * 2**20,
        ge=1024,
        description="Maximum size of the bodies of all requests in flight together, in bytes; above it a request is "
        "rejected with 429. A body in JSON takes about twice its size of memory. At least VQC_MAX_BODY_BYTES.",
    )
    max_connections: int = Field(
        2048,
        ge=1,
        description="Maximum number of connections; the limit on open files (ulimit -n) can lower it. Above it the "
        "connection that has been silent longest is closed, and 32 more are kept for probes.",
    )
    max_head_bytes: int = Field(
        64 * 1024, ge=1024, description="Maximum size of request line and headers together, in bytes; above it 431."
    )
    head_timeout_s: float = Field(
        10.0, gt=0, description="Maximum time, in seconds, for request line and headers to arrive; after it 408."
    )
    body_timeout_s: float = Field(
        300.0, gt=0, description="Maximum time, in seconds, for a request body to arrive; after it 408."
    )
    body_min_bytes_per_s: int = Field(
        1024,
        ge=0,
        description="Minimum rate at which a request body arrives, in bytes per second, over each "
        "VQC_BODY_WINDOW_S; below it 408. 0 turns it off.",
    )
    body_window_s: float = Field(
        10.0, gt=0, description="Time, in seconds, over which the rate of a request body is measured."
    )
    idle_timeout_s: float = Field(
        75.0, gt=0, description="Time, in seconds, after which a connection without a request is closed."
    )
    send_timeout_s: float = Field(
        30.0,
        gt=0,
        description="Time, in seconds, after which a connection is closed whose caller reads nothing of its response.",
    )

    def http_limits(self) -> HttpLimits:
        """The limits of the API's server. Raises the process's soft limit on open files."""
        return HttpLimits(
            head_bytes=self.max_head_bytes,
            head_timeout_s=self.head_timeout_s,
            body_timeout_s=self.body_timeout_s,
            body_bytes_per_s=self.body_min_bytes_per_s,
            body_window_s=self.body_window_s,
            idle_timeout_s=self.idle_timeout_s,
            send_timeout_s=self.send_timeout_s,
            connections=usable_connections(self.max_connections, max_in_flight=self.max_in_flight),
            bytes_in_flight=max(self.max_bytes_in_flight, self.max_body_bytes),
        )
