"""The picture in the docs is drawn from the trace beside it."""

import json
import subprocess
import sys
from pathlib import Path

from tools.trace_picture import Span, rows

ROOT = Path(__file__).parents[3]
TRACE = ROOT / "docs/pictures/trace-of-a-ticket.jsonl"


def test_the_committed_picture_is_what_the_committed_trace_gives():
    command = [sys.executable, "-m", "tools.trace_picture", str(TRACE)]
    drawn = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert TRACE.with_suffix(".svg").read_text("utf-8") == drawn
    lines = [json.loads(line) for line in TRACE.read_text("utf-8").splitlines()]
    assert len({line["trace_id"] for line in lines}) == 1
    assert {line["service"] for line in lines} == {"vqc-api", "vqc-worker", "vqc-engine"}


def test_a_span_stands_below_what_called_it():
    def span(name: str, parent: str, start: int) -> Span:
        return Span(service="s", name=name, trace_id="t", span_id=name, parent_id=parent, start_ns=start, end_ns=99)

    spans = [span("late", "top", 5), span("top", "caller", 1), span("inner", "early", 4), span("early", "top", 2)]
    assert [(depth, one.name) for depth, one in rows(spans)] == [(0, "top"), (1, "early"), (2, "inner"), (1, "late")]
