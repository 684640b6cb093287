"""Draws one trace as a picture: ``python -m tools.trace_picture TRACE.jsonl > TRACE.svg``.

A line of the file is a span: service, name, trace_id, span_id, parent_id, start_ns, end_ns;
``tests/e2e/test_prometheus_real.py`` writes such a file to ``output/``. Each span is a row below its caller; the bar is its
time, the colour its service.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

COLOURS = {"vqc-api": "#2563eb", "vqc-worker": "#059669", "vqc-engine": "#d97706"}
ROW, LABELS, WIDTH, HEAD = 22, 300, 1100, 52


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span of the trace; times in nanoseconds."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int


def rows(spans: Sequence[Span]) -> list[tuple[int, Span]]:
    """The spans with their depth, each below its caller, ordered by start."""
    known = {span.span_id for span in spans}

    def below(parent_id: str | None, depth: int) -> Iterator[tuple[int, Span]]:
        for span in sorted(spans, key=lambda span: span.start_ns):
            if span.parent_id == parent_id or (parent_id is None and span.parent_id not in known):
                yield depth, span
                yield from below(span.span_id, depth + 1)

    return list(below(None, 0))


def svg(spans: Sequence[Span]) -> str:
    """The picture."""
    placed = rows(spans)
    begin, end = min(span.start_ns for span in spans), max(span.end_ns for span in spans)
    scale, height = (WIDTH - LABELS - 90) / (end - begin), HEAD + ROW * len(placed) + 12
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for n, service in enumerate(COLOURS):
        out.append(f'<rect x="{12 + n * 110}" y="10" width="12" height="12" fill="{COLOURS[service]}"/>')
        out.append(f'<text x="{30 + n * 110}" y="20">{service}</text>')
    for step in range(5):
        x, ms = LABELS + (end - begin) * scale * step / 4, (end - begin) / 4e6 * step
        out.append(f'<line x1="{x:.1f}" y1="{HEAD - 8}" x2="{x:.1f}" y2="{height - 8}" stroke="#e5e7eb"/>')
        out.append(f'<text x="{x:.1f}" y="{HEAD - 14}" text-anchor="middle" fill="#6b7280">{ms:,.0f} ms</text>')
    for n, (depth, span) in enumerate(placed):
        y, x = HEAD + n * ROW, LABELS + (span.start_ns - begin) * scale
        width = max(1.5, (span.end_ns - span.start_ns) * scale)
        out.append(f'<text x="{12 + depth * 14}" y="{y + 13}">{escape(span.name)}</text>')
        out.append(
            f'<rect x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="{ROW - 7}" rx="2" '
            f'fill="{COLOURS.get(span.service, "#6b7280")}"/>'
        )
        out.append(
            f'<text x="{x + width + 4:.1f}" y="{y + 13}" fill="#374151">{(span.end_ns - span.start_ns) / 1e6:,.1f} ms</text>'
        )
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text("utf-8").splitlines()
    sys.stdout.write(svg([Span(**json.loads(line)) for line in lines]))
