"""Writes the generated reference to standard output: ``python -m deploy.pages metrics | settings | openapi``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from pydantic_core import PydanticUndefined

from service.app.http import create_routes
from service.photos.metrics import Metrics
from service.platform.admission import Intake
from service.platform.settings import Settings
from service.tickets.metrics import TicketMetrics
from service.tickets.ports import QueueDepth
from service.tickets.ticket import State
from trainer.prometheus_exporter import TrainingProgress

_OPEN = {
    "route": "a route's pattern, or unmatched",
    "method": "an HTTP method, or other",
    "status": "an HTTP status; 0: the client had gone",
    "version": "of the package",
    "role": "main, canary or shadow",
    "alias": "a model's alias",
    "digest": "its first 12 hexadecimal digits",
    "run": "a run's directory",
    "mission": "a mission's name",
}
"""Labels whose values are not listed, and what they are."""
_METRICS_HEAD = """# Metrics

Written by `python -m deploy.pages metrics`; a test compares. Prometheus reads them at `/metrics` of the API, of each worker
(`VQC_WORKER_PORT`) and of `vqc-train exporter`; vLLM has its own (`vllm:…`). Counters end in `_total`; a histogram has
`_bucket`, `_sum` and `_count`. Series with listed values are there from the start, at 0.

Asked with `Accept: application/openmetrics-text`, as Prometheus does, latencies carry the trace id of one request per bucket
where requests are traced; Prometheus keeps them with `--enable-feature=exemplar-storage`. What to do when an alert fires:
[runbooks](runbooks/README.md).
"""
_SETTINGS_HEAD = """# Settings

Written by `python -m deploy.pages settings`; a test compares. Each is an environment variable; `vqc settings` prints the values
in force. An unknown `VQC_…` variable is refused with the nearest name.

| variable | default | |
|---|---|---|
"""


def metric_families() -> list[tuple[str, list[Metric]]]:
    """Every metric of ours, by who serves it."""
    service = Metrics(Intake(1))
    http = [*service.registry.collect()]
    TicketMetrics(service.registry).queue(dict.fromkeys(State, 0), {}, QueueDepth(lag=0, pending=0, delayed=0))
    tickets = [family for family in service.registry.collect() if family.name not in {one.name for one in http}]
    training = CollectorRegistry()
    training.register(TrainingProgress(Path("/nonexistent")))
    return [
        ("API and worker", http),
        ("API and worker, where tickets are judged", tickets),
        ("`vqc-train exporter`", [*training.collect()]),
    ]


def metrics_page() -> str:
    """``docs/metrics.md``."""
    parts = [_METRICS_HEAD]
    for title, families in metric_families():
        rows = [
            f"| `{_name(family)}` | {family.type} | {_labels(family)} | {family.documentation} |" for family in families
        ]
        parts += [f"\n## {title}\n\n| metric | type | labels | |\n|---|---|---|---|\n", "\n".join(rows), "\n"]
    return "".join(parts)


def settings_page() -> str:
    """``docs/settings.md``."""
    return _SETTINGS_HEAD + "".join(_setting_rows())


def openapi_document() -> str:
    """``docs/openapi.json``."""
    return json.dumps(create_routes().openapi(), ensure_ascii=False, indent=2) + "\n"


def _setting_rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        default = "number of cores, 4 at most" if name == "photo_threads" else _spelled(field.default)
        yield f"| `VQC_{name.upper()}` | {default} | {(field.description or '').replace('|', chr(92) + '|')} |\n"


def _spelled(default: object) -> str:
    if default is None or default is PydanticUndefined or default == ():
        return ""
    return f"`{default}`"


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _labels(family: Metric) -> str:
    """Each label with its values, in the order that the series show them."""
    seen: dict[str, list[str]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            if label != "le" and value not in seen.setdefault(label, []):
                seen[label].append(value)
    for label in _unlabelled(family):
        seen.setdefault(label, [])
    return "; ".join(
        f"{label}: {_OPEN[label]}" if not values or label in ("mission", "version") else f"{label}: {', '.join(values)}"
        for label, values in seen.items()
    )


def _unlabelled(family: Metric) -> Sequence[str]:
    """The labels of a metric that has no series yet."""
    if family.name.startswith("vqc_train_"):
        return ("run",)
    return {
        "vqc_http_requests": ("route", "method", "status"),
        "vqc_http_request_seconds": ("route",),
        "vqc_model_info": ("role", "alias", "digest"),
    }.get(family.name, ())


if __name__ == "__main__":
    pages = {"metrics": metrics_page, "settings": settings_page, "openapi": openapi_document}
    sys.stdout.write(pages[sys.argv[1]]())
