"""What the modules of metrics share: series that are there from the start, and exemplars."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import TypeVar

from opentelemetry.trace import format_trace_id, get_current_span
from prometheus_client.metrics import MetricWrapperBase

_M = TypeVar("_M", bound=MetricWrapperBase)


def initialised(metric: _M, *values: Iterable[str]) -> _M:
    """The metric, with a series for each combination of its labels' values, at 0.

    >>> from prometheus_client import CollectorRegistry, Counter
    >>> registry = CollectorRegistry()
    >>> _ = initialised(Counter("doors", "Doors.", ["state"], registry=registry), ["open", "shut"])
    >>> registry.get_sample_value("doors_total", {"state": "shut"})
    0.0
    """
    for labels in product(*values) if values else ():
        metric.labels(*map(str, labels))
    return metric


def exemplar() -> dict[str, str] | None:
    """The trace that is going on, to be kept beside a measurement; None where nothing is traced."""
    context = get_current_span().get_span_context()
    return {"trace_id": format_trace_id(context.trace_id)} if context.trace_flags.sampled else None
