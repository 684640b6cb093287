"""Metrics of the response cache, the engine, the active models and their swaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from typing_extensions import override

from engine.protocol import Health
from service.models.observe import CacheLookup, ModelObserver, SwapOutcome
from service.models.roles import Agreement, ServedModel
from service.platform.metrics import MetricFactory
from service.platform.shares import Role


class ModelMetrics(ModelObserver):
    """Counts lookups, pins, comparisons and swaps; the gauges show what is active."""

    def __init__(self, factory: MetricFactory) -> None:
        self._lookups = factory.counter(
            "vqc_answer_cache_lookups",
            "Lookups in the response cache; joined: an identical request was being answered.",
            outcome=get_args(CacheLookup),
        )
        self._engine_ready = factory.gauge("vqc_engine_ready", "1 while the engine answers.")
        self._engine_restarts = factory.gauge("vqc_engine_restarts", "Restarts of the managed engine.")
        self._models = factory.gauge("vqc_model_info", "The active models; always 1.", "role", "alias", "digest")
        self._pins = factory.counter("vqc_model_requests", "Requests pinned to a model, by its role.", role=[*Role])
        self._comparisons = factory.counter(
            "vqc_shadow_answers", "Answers compared with the shadow's, by agreement.", agreement=[*Agreement]
        )
        self._swaps = factory.counter("vqc_model_swaps", "Swaps, by outcome.", outcome=get_args(SwapOutcome))
        self._swap_seconds = factory.histogram(
            "vqc_model_swap_seconds",
            "Time from the start of a swap until the old engine has stopped.",
            buckets=(1, 2.5, 5, 10, 20, 40, 60, 120, 240, 480, 960),
        )
        self._double_memory = factory.counter(
            "vqc_model_double_memory_seconds", "Time with two engines up for one alias."
        )

    def update_engine(self, health: Health) -> None:
        """Sets the engine's gauges."""
        self._engine_ready.set(health.ready)
        self._engine_restarts.set(health.restarts)

    @override
    def record_lookup(self, lookup: CacheLookup) -> None:
        self._lookups.labels(lookup).inc()

    @override
    def record_active(self, models: Sequence[tuple[Role, ServedModel]]) -> None:
        self._models.clear()
        for role, model in models:
            self._models.labels(role.value, model.alias, model.digest.removeprefix("sha256:")[:12]).set(1)

    @override
    def record_pin(self, role: Role) -> None:
        self._pins.labels(role.value).inc()

    @override
    def record_comparison(self, agreement: Agreement) -> None:
        self._comparisons.labels(agreement.value).inc()

    @override
    def record_swap(self, outcome: SwapOutcome, seconds: float, double_memory_s: float) -> None:
        self._swaps.labels(outcome).inc()
        self._swap_seconds.observe(seconds)
        self._double_memory.inc(double_memory_s)
