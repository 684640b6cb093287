"""Metrics of HTTP requests and admission."""

from __future__ import annotations

from typing import Literal, get_args

from service.platform.admission import AdmissionControl
from service.platform.http_protocol import ServerLimits
from service.platform.metrics import MetricFactory, exemplar

Rejection = Literal[
    "overloaded",
    "draining",
    "body_too_large",
    "host",
    "origin",
    "malformed",
    "head_too_large",
    "head_timeout",
    "body_timeout",
    "bytes_overloaded",
    "connections_full",
    "rate_limited",
    "quota_spent",
]
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


class HttpMetrics:
    """Counts every finished or rejected request."""

    def __init__(self, factory: MetricFactory, admission: AdmissionControl) -> None:
        self._requests = factory.counter("vqc_http_requests", "Requests answered.", "route", "method", "status")
        self._request_seconds = factory.histogram("vqc_http_request_seconds", "Time to the last byte.", "route")
        self._rejected = factory.counter(
            "vqc_http_refused", "Requests rejected before any work.", reason=get_args(Rejection)
        )
        self._audit_failures = factory.counter(
            "vqc_audit_failures", "Entries that could not be written to the audit log; the process log has them."
        )
        in_flight = factory.gauge("vqc_requests_in_flight", "Admitted requests in flight.")
        in_flight.set_function(lambda: admission.in_flight)
        limit = factory.gauge("vqc_requests_in_flight_limit", "Most requests that are admitted at once.")
        limit.set(admission.limit)
        self._connections = factory.gauge("vqc_connections", "Open connections of callers.")
        self._body_bytes = factory.gauge("vqc_bodies_in_flight_bytes", "Bytes of the bodies of all requests in flight.")

    def observe_server(self, server: ServerLimits) -> None:
        """Reads connections and bytes from the server at each scrape."""
        self._connections.set_function(lambda: len(server.connections))
        self._body_bytes.set_function(lambda: server.bytes.used)

    def record_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request ended; ``status`` 0 means that the client had disconnected."""
        # Methods are the caller's to choose: an unknown one must not become a series of its own.
        self._requests.labels(route, method if method in _METHODS else "other", status).inc()
        self._request_seconds.labels(route).observe(seconds, exemplar())

    def record_audit_failure(self) -> None:
        """An entry could not be written to the audit log."""
        self._audit_failures.inc()

    def record_rejection(self, reason: Rejection) -> None:
        """A request was rejected before any work."""
        self._rejected.labels(reason).inc()
