"""What the metrics of every capability share: how they are made, and exemplars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import TypeVar

from opentelemetry.trace import format_trace_id, get_current_span
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Buckets of a request's latency."""

_M = TypeVar("_M", bound=MetricWrapperBase)


class MetricFactory:
    """Makes the metrics of one registry.

    ``labels`` are label names whose values are open. The keyword arguments are labels with all their values: each combination
    is a series from the start, at 0, because Prometheus sees no increase in a series whose first value is 1.

    >>> factory = MetricFactory(CollectorRegistry())
    >>> doors = factory.counter("doors", "Doors.", state=["open", "shut"])
    >>> factory.registry.get_sample_value("doors_total", {"state": "shut"})
    0.0
    """

    def __init__(self, registry: CollectorRegistry, *, seconds: Sequence[float] = SECONDS) -> None:
        self.registry = registry
        self._seconds = seconds
        """Buckets of a histogram that names none."""

    def counter(self, name: str, text: str, *labels: str, **values: Sequence[str]) -> Counter:
        """A counter; Prometheus calls it ``name`` with ``_total``."""
        return _initialise(Counter(name, text, [*values, *labels], registry=self.registry), values.values())

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """A gauge."""
        return Gauge(name, text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, *labels: str, buckets: Sequence[float] = (), **values: Sequence[str]
    ) -> Histogram:
        """A histogram, by default over seconds."""
        names = [*values, *labels]
        made = Histogram(name, text, names, buckets=buckets or self._seconds, registry=self.registry)
        return _initialise(made, values.values())


def exemplar() -> dict[str, str] | None:
    """The id of the current trace, to store beside a measurement; None if the request is not traced."""
    context = get_current_span().get_span_context()
    return {"trace_id": format_trace_id(context.trace_id)} if context.trace_flags.sampled else None


def _initialise(metric: _M, values: Iterable[Sequence[str]]) -> _M:
    values = [*values]
    for labels in product(*values) if values else ():
        metric.labels(*map(str, labels))
    return metric
