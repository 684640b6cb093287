"""Every metric of photos, answers, models and HTTP: names, units, closed labels, buckets. Tickets': ``tickets.metrics``.

Label sets that are known are there from the start, at 0: Prometheus sees no increase in a series that is born at 1.
Latencies carry the trace id of one request per bucket as an exemplar, where the request is traced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from engine.protocol import Health
from service.models.observe import Lookup, Observer, SwapOutcome, Task
from service.models.roles import Agreement, ServedModel
from service.platform.admission import Intake
from service.platform.metrics import exemplar, initialised
from service.platform.shares import Role
from service.platform.version import VERSION
from service.web.ports import Refusal
from vqc.errors import PhotoReason
from vqc.missions import missions
from vqc.parser import Status

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


class Metrics(Observer):
    """The service's metrics in a registry of their own."""

    def __init__(self, intake: Intake) -> None:
        self.registry = registry = CollectorRegistry()
        """Where further metrics of this process belong."""

        def counter(name: str, text: str, *labels: str, **values: Sequence[str]) -> Counter:
            return initialised(Counter(name, text, [*values, *labels], registry=registry), *values.values())

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float] = SECONDS, **values: Sequence[str]) -> Histogram:
            made = Histogram(name, text, [*values], buckets=buckets, registry=registry)
            return initialised(made, *values.values())

        ProcessCollector(registry=registry)
        gauge("vqc_build_info", "The version of this process; always 1.", "version").labels(VERSION).set(1)
        tasks, roles = get_args(Task), [*Role]

        self._requests = counter("vqc_http_requests", "Requests answered.", "route", "method", "status")
        self._request_seconds = Histogram(
            "vqc_http_request_seconds", "Time to the last byte.", ["route"], buckets=SECONDS, registry=registry
        )
        self._refused = counter("vqc_http_refused", "Requests refused before any work.", reason=get_args(Refusal))
        in_flight = gauge("vqc_requests_in_flight", "Admitted requests being worked on.")
        in_flight.set_function(lambda: intake.in_flight)
        gauge("vqc_requests_in_flight_limit", "Most requests that are admitted at once.").set(intake.limit)

        self._photo_seconds = histogram(
            "vqc_photo_read_seconds",
            "Time to check a photo and, if needed, to convert it.",
            (0.0005, 0.001, 0.0025, *SECONDS[:8]),
            passed_through=("true", "false"),
        )
        self._rejected = counter("vqc_photos_rejected", "Photos refused, by reason.", reason=[*PhotoReason])

        self._answers = counter(
            "vqc_answers", "Answers of the engine, by how they could be read.", task=tasks, status=[*Status]
        )
        self._engine_seconds = histogram("vqc_engine_seconds", "Time the engine took for one photo.", task=tasks)
        self._first_token = histogram(
            "vqc_first_token_seconds", "Time from the engine call to the first piece of a streamed caption."
        )
        self._first_object = histogram(
            "vqc_first_object_seconds",
            "Time from the engine call to the first complete object of a streamed caption.",
        )
        self._tokens = counter(
            "vqc_tokens", "Tokens read (prompt) and written (completion).", task=tasks, kind=("prompt", "completion")
        )
        self._objects = histogram("vqc_caption_objects", "Objects in a caption.", (0, 1, 2, 5, 10, 20, 40, 80))
        self._truncated = counter("vqc_captions_truncated", "Captions that were cut before their end.")
        self._items = counter(
            "vqc_summary_items",
            "Things that Stage-A lines name, by whether the mission has words for them.",
            mission=[*missions()],
            known=("true", "false"),
        )

        self._lookups = counter(
            "vqc_answer_cache_lookups",
            "Answers looked for among those given before; joined: it was just being written for another request.",
            outcome=get_args(Lookup),
        )

        self._engine_ready = gauge("vqc_engine_ready", "1 while the engine answers.")
        self._engine_restarts = gauge("vqc_engine_restarts", "Restarts of the managed engine.")
        self._models = gauge("vqc_model_info", "The checkpoints in force; always 1.", "role", "alias", "digest")
        self._pinned = counter("vqc_model_requests", "Requests pinned to a model, by its role.", role=roles)
        self._shadow_answers = counter(
            "vqc_shadow_answers", "Answers compared with the shadow's, by agreement.", agreement=[*Agreement]
        )
        self._swaps = counter("vqc_model_swaps", "Models replaced, by outcome.", outcome=get_args(SwapOutcome))
        self._swap_seconds = histogram(
            "vqc_model_swap_seconds",
            "Time from the call to the old engine's end.",
            (1, 2.5, 5, 10, 20, 40, 60, 120, 240, 480, 960),
        )
        self._double_memory = counter("vqc_model_double_memory_seconds", "Time with two engines up for one alias.")

    def page(self, health: Health, accept: str) -> tuple[bytes, str]:
        """The scrape page and its content type: OpenMetrics, with exemplars, where ``accept`` takes it."""
        self._engine_ready.set(health.ready)
        self._engine_restarts.set(health.restarts)
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """An HTTP request ended; ``status`` 0 means that the client had gone."""
        self._requests.labels(route, method if method in _METHODS else "other", status).inc()
        self._request_seconds.labels(route).observe(seconds, exemplar())

    def refused(self, reason: Refusal) -> None:
        """A request was refused before any work."""
        self._refused.labels(reason).inc()

    def photo_read(self, seconds: float, *, passed_through: bool) -> None:
        """See ``Observer``."""
        self._photo_seconds.labels(str(passed_through).lower()).observe(seconds, exemplar())

    def photo_rejected(self, reason: str) -> None:
        """See ``Observer``."""
        self._rejected.labels(reason).inc()

    def answered(
        self, task: Task, seconds: float, *, status: Status, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """See ``Observer``."""
        self._answers.labels(task, status.value).inc()
        self._engine_seconds.labels(task).observe(seconds, exemplar())
        self._tokens.labels(task, "prompt").inc(prompt_tokens)
        self._tokens.labels(task, "completion").inc(completion_tokens)

    def captioned(self, objects: int, *, truncated: bool) -> None:
        """See ``Observer``."""
        self._objects.observe(objects)
        self._truncated.inc(truncated)

    def summarised(self, mission: str, known: int, unknown: int) -> None:
        """See ``Observer``."""
        self._items.labels(mission, "true").inc(known)
        self._items.labels(mission, "false").inc(unknown)

    def first_token(self, seconds: float) -> None:
        """See ``Observer``."""
        self._first_token.observe(seconds, exemplar())

    def first_object(self, seconds: float) -> None:
        """See ``Observer``."""
        self._first_object.observe(seconds, exemplar())

    def looked_up(self, lookup: Lookup) -> None:
        """See ``Observer``."""
        self._lookups.labels(lookup).inc()

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
