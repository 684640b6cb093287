"""Where spans go: nowhere, to a file, or to a collector (OTLP over HTTP). OpenTelemetry's SDK is loaded only then.

The spans themselves are made where the work is: ``api.gate`` (a request), ``worker.runner`` (a delivery), ``groups.work``
(stages), ``application.ask`` (a photo), ``engine.client`` (a call, whose ``traceparent`` vLLM goes on with).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def traced(target: str | None, *, share: float, service: str) -> Iterator[None]:
    """Spans of this process go to ``target`` while the block runs; what is still kept is sent at its end.

    ``target`` is a collector's base URL (``http://collector:4318``), a file that gets a JSON object a line, or None. ``share``
    of the traces that begin here are kept; one that comes with a request keeps what its sender chose.
    """
    if target is None:
        yield
        return
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(share)), resource=Resource.create({"service.name": service})
    )
    if url := collector(target):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces")
    else:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        file = Path(target).open("a", encoding="utf-8")  # noqa: SIM115  (the exporter's, until the process ends)
        exporter = ConsoleSpanExporter(out=file, formatter=lambda span: f"{span.to_json(indent=None)}\n")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


def collector(target: str | None) -> str | None:
    """The collector's URL, if that is what ``target`` is.

    >>> collector("http://collector:4318"), collector("output/spans.jsonl")
    ('http://collector:4318', None)
    """
    return target if target and target.startswith(("http://", "https://")) else None
