"""The committed dashboards are what the code writes, and ask for nothing that nobody measures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deploy.grafana.boards import BOARDS
from deploy.grafana.generate import OUT, files
from deploy.pages import metric_families
from tests.support.prometheus import alerts, rules

DASHBOARDS = sorted(OUT.glob("*.json"))
VLLM = (Path(__file__).parent / "vllm_metrics.txt").read_text("utf-8").split()
"""The names that a real vLLM has (tests/e2e/test_prometheus_real.py compares)."""
_NAME = re.compile(r"\b(?:vqc|vllm|process)[:_][a-zA-Z0-9_:]+")


def known() -> set[str]:
    ours = {sample.name for _, part in metric_families() for family in part for sample in family.samples}
    bare = {family.name for _, part in metric_families() for family in part}
    kinds = {f"{name}{suffix}" for name in bare for suffix in ("", "_total", "_bucket", "_sum", "_count")}
    return ours | kinds | {rule["record"] for rule in rules() if "record" in rule} | {*VLLM}


def test_the_committed_dashboards_are_what_the_code_writes():
    written = files()
    assert {path.name for path in DASHBOARDS} == set(written)
    for path in DASHBOARDS:
        assert path.read_text("utf-8") == written[path.name], "run `make docs`"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_metric_that_is_asked_for_exists(board):
    for _, charts in board.rows:
        for query in (query for chart in charts for query in chart.queries):
            assert [name for name in _NAME.findall(query.expr) if name not in known()] == [], query.expr


def test_every_metric_of_a_rule_exists():
    for rule in rules():
        assert [name for name in _NAME.findall(rule["expr"]) if name not in known()] == [], rule


def test_panels_are_whole_and_do_not_overlap():
    for path in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        panels = json.loads(path.read_text("utf-8"))["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        for panel in (one for one in panels if one["type"] != "row"):
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert place["x"] + place["w"] <= 24
            assert not cells & taken, (path.name, panel["title"])
            taken |= cells
            assert panel["title"]
            assert panel["targets"]


def test_every_metric_of_ours_is_looked_at():
    asked = " ".join(q.expr for board in BOARDS for _, charts in board.rows for chart in charts for q in chart.queries)
    asked += " ".join(alert["expr"] for alert in alerts().values())
    ours = [family.name for _, part in metric_families() for family in part if family.name.startswith("vqc_")]
    recorded = " ".join(rule["expr"] for rule in rules() if "record" in rule)
    assert [name for name in ours if name not in asked + recorded] == ["vqc_build_info"]
