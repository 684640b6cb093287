"""Structured logs: one JSON object per line on standard error, or readable lines on a terminal."""

from __future__ import annotations

import logging
import sys

import structlog
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from structlog.typing import EventDict, WrappedLogger


def configure(level: str) -> None:
    """Configures the logs of the process; ``level`` is debug, info, warning or error."""
    readable = structlog.dev.ConsoleRenderer(
        exception_formatter=structlog.dev.plain_traceback
    )  # no local variables: they hold photos and keys
    json_lines = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_trace,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([readable] if sys.stderr.isatty() else json_lines),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def _with_trace(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """The event with the ids of the current span, so that a log line leads to its trace and back."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        event.update(trace_id=format_trace_id(context.trace_id), span_id=format_span_id(context.span_id))
    return event
