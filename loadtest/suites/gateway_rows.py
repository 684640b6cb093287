"""The plan and the rows of ``vqc-bench gateway``."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.http.requests import Body, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPlan:
    """The levels and the server. Without ``target`` our API is started; ``pid`` is the process of a running target."""

    connections: tuple[int, ...]
    seconds: float
    body: Body
    target: Target | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRow:
    """One level. Values that cannot be measured (CPU without a pid, latencies without an answer) are None.

    ``server_cores`` and ``client_cores`` are CPU seconds per second: if the second is near 1, the generator is the
    bottleneck. ``errors`` and ``answers_so_far`` (of all levels) include the warm-up; ``peak_rss_mb`` is since the start.
    """

    connections: int
    requests_per_s: float
    cpu_ms_per_request: float | None
    p50_ms: float | None
    p99_ms: float | None
    errors: int
    requests: int
    server_cores: float | None
    client_cores: float
    answers_so_far: int
    peak_rss_mb: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayReport:
    """The rows and the first problem."""

    rows: list[GatewayRow]
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRow:
    """This checkout against another at one level: CPU milliseconds per request, medians over the pairs.

    ``cpu_ratio`` and ``rate_ratio`` are the medians of ours ÷ theirs per pair, ``spread`` the lowest and the highest
    ``cpu_ratio`` of a pair.
    """

    connections: int
    pairs: int
    ours_cpu_ms: float
    theirs_cpu_ms: float
    cpu_ratio: float
    spread: tuple[float, float]
    rate_ratio: float
    errors: int
