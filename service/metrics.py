"""Every metric of the service: names, units, closed labels, buckets."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from engine.protocol import Health
from service.application.intake import Intake
from service.application.observe import Observer, SwapOutcome, Task
from service.domain.models import Agreement, Role
from service.domain.results import ServedModel
from vqc.parser import Status

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


class Metrics(Observer):
    """The service's metrics in a registry of their own."""

    def __init__(self, intake: Intake) -> None:
        self._registry = registry = CollectorRegistry()
        labels = ["route", "method", "status"]
        self._requests = Counter("vqc_http_requests", "Requests answered.", labels, registry=registry)
        self._request_seconds = Histogram(
            "vqc_http_request_seconds", "Time to the last byte.", ["route"], buckets=_SECONDS, registry=registry
        )
        self._photo_seconds = Histogram(
            "vqc_photo_read_seconds",
            "Time to check a photo and, if needed, to convert it.",
            ["passed_through"],
            buckets=(0.0005, 0.001, 0.0025, *_SECONDS[:8]),
            registry=registry,
        )
        self._rejected = Counter("vqc_photos_rejected", "Photos refused, by reason.", ["reason"], registry=registry)
        self._answers = Counter(
            "vqc_answers", "Answers of the engine, by how they could be read.", ["task", "status"], registry=registry
        )
        self._engine_seconds = Histogram(
            "vqc_engine_seconds", "Time the engine took for one photo.", ["task"], buckets=_SECONDS, registry=registry
        )
        self._first_object = Histogram(
            "vqc_first_object_seconds",
            "Time from the engine call to the first complete object of a streamed caption.",
            buckets=_SECONDS,
            registry=registry,
        )
        tokens = ["task", "kind"]
        self._tokens = Counter(
            "vqc_tokens", "Tokens read (prompt) and written (completion).", tokens, registry=registry
        )
        in_flight = Gauge("vqc_requests_in_flight", "Admitted requests being worked on.", registry=registry)
        in_flight.set_function(lambda: intake.in_flight)
        admitted = Gauge("vqc_requests_in_flight_limit", "Most requests that are admitted at once.", registry=registry)
        admitted.set(intake.limit)
        self._engine_ready = Gauge("vqc_engine_ready", "1 while the engine answers.", registry=registry)
        self._engine_restarts = Gauge("vqc_engine_restarts", "Restarts of the managed engine.", registry=registry)
        self._models = Gauge(
            "vqc_model_info", "The checkpoints in force; always 1.", ["role", "alias", "digest"], registry=registry
        )
        self._pinned = Counter(
            "vqc_model_requests", "Requests pinned to a model, by its role.", ["role"], registry=registry
        )
        self._shadow_answers = Counter(
            "vqc_shadow_answers", "Answers compared with the shadow's, by agreement.", ["agreement"], registry=registry
        )
        self._swaps = Counter("vqc_model_swaps", "Models replaced, by outcome.", ["outcome"], registry=registry)
        self._swap_seconds = Histogram(
            "vqc_model_swap_seconds",
            "Time from the call to the old engine's end.",
            buckets=(1, 2.5, 5, 10, 20, 40, 60, 120, 240, 480, 960),
            registry=registry,
        )
        self._double_memory = Counter(
            "vqc_model_double_memory_seconds", "Time with two engines up for one alias.", registry=registry
        )

    @property
    def registry(self) -> CollectorRegistry:
        """Where further metrics of this process belong."""
        return self._registry

    def page(self, health: Health) -> bytes:
        """The scrape page in Prometheus text format."""
        self._engine_ready.set(health.ready)
        self._engine_restarts.set(health.restarts)
        return generate_latest(self._registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """An HTTP request ended; ``status`` 0 means that the client had gone."""
        self._requests.labels(route, method if method in _METHODS else "other", status).inc()
        self._request_seconds.labels(route).observe(seconds)

    def photo_read(self, seconds: float, *, passed_through: bool) -> None:
        """See ``Observer``."""
        self._photo_seconds.labels(str(passed_through).lower()).observe(seconds)

    def photo_rejected(self, reason: str) -> None:
        """See ``Observer``."""
        self._rejected.labels(reason).inc()

    def answered(
        self, task: Task, seconds: float, *, status: Status, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """See ``Observer``."""
        self._answers.labels(task, status.value).inc()
        self._engine_seconds.labels(task).observe(seconds)
        self._tokens.labels(task, "prompt").inc(prompt_tokens)
        self._tokens.labels(task, "completion").inc(completion_tokens)

    def first_object(self, seconds: float) -> None:
        """See ``Observer``."""
        self._first_object.observe(seconds)

    def serving(self, models: Sequence[tuple[Role, ServedModel]]) -> None:
        """See ``Observer``."""
        self._models.clear()
        for role, model in models:
            self._models.labels(role.value, model.alias, model.digest.removeprefix("sha256:")[:12]).set(1)

    def pinned(self, role: Role) -> None:
        """See ``Observer``."""
        self._pinned.labels(role.value).inc()

    def shadowed(self, agreement: Agreement) -> None:
        """See ``Observer``."""
        self._shadow_answers.labels(agreement.value).inc()

    def swapped(self, outcome: SwapOutcome, seconds: float, double_memory_s: float) -> None:
        """See ``Observer``."""
        self._swaps.labels(outcome).inc()
        self._swap_seconds.observe(seconds)
        self._double_memory.inc(double_memory_s)
