"""The export of spans: none, to a file, or to a collector (OTLP over HTTP). Only an export loads OpenTelemetry's SDK.

The spans are made where the work is: ``web.gate`` (a request), ``tickets.worker`` (a delivery), ``tickets.work`` (stages),
``photos.reader`` (a photo), ``engine.client`` (a call, whose ``traceparent`` is the parent of vLLM's spans).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def tracing(target: str | None, *, share: float, service: str) -> Iterator[None]:
    """Exports the spans of this process to ``target`` while the block runs; buffered spans are sent at its end.

    ``target`` is a collector's base URL (``http://collector:4318``), a file that gets one JSON object per line, or None.
    ``share`` of the traces that begin here are sampled; a trace that a caller began is sampled as the caller decided.
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
        file = Path(target).open("a", encoding="utf-8")  # noqa: SIM115  (the exporter writes to it until the process ends)
        exporter = ConsoleSpanExporter(out=file, formatter=lambda span: f"{span.to_json(indent=None)}\n")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


def collector(target: str | None) -> str | None:
    """``target`` if it is the URL of a collector.

    >>> collector("http://collector:4318"), collector("output/spans.jsonl")
    ('http://collector:4318', None)
    """
    return target if target and target.startswith(("http://", "https://")) else None
