"""The report page of a run, rendered from the files in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.platform.files import read_json
from vqc.json_lines import read_records

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_WIDTH, _HEIGHT, _MARGIN = 420, 260, 44
_MAX_CANDIDATES = 50
"""The most label-noise candidates listed for a mission."""


def render_report(run: Path) -> str:
    """The page as HTML. For each mission it shows the metrics of each pass, the confusion matrix, the risk-coverage curve,
    label-noise candidates, reflections and the changes of the guidance.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["share"] = lambda value: "–" if value is None else f"{100 * value:.1f} %"
    template = environment.from_string(_TEMPLATE.read_text("utf-8"))
    folders = sorted(path.parent for path in run.glob("*/metrics.json"))
    return template.render(run=run.name, missions=[_mission(folder) for folder in folders])


def _mission(folder: Path) -> dict[str, Any]:
    metrics: Any = read_json(folder / "metrics.json")
    last = metrics["epochs"][-1]
    candidates = [
        line
        for line in _lines(folder / "selections.jsonl")
        if line["epoch"] == last["epoch"] and line["result"]["label_contradiction"]
    ]
    return {
        "metrics": metrics,
        "last": last,
        "curve": curve_points(metrics["risk_coverage"]),
        "plot": {"width": _WIDTH, "height": _HEIGHT, "margin": _MARGIN},
        "candidates": candidates[:_MAX_CANDIDATES],
        "more_candidates": max(0, len(candidates) - _MAX_CANDIDATES),
        "reflections": [line["reflection"] | {"epoch": line["epoch"]} for line in _lines(folder / "reflections.jsonl")],
        "thresholds": [read_json(path) for path in sorted((folder / "thresholds").glob("*.json"))],
    }


def curve_points(curve: list[dict[str, Any]]) -> str:
    """The ``points`` of an SVG polyline: coverage to the right, risk upwards, both 0 to 1.

    >>> curve_points([{"coverage": 0.0, "risk": 0.0}, {"coverage": 1.0, "risk": 0.5}])
    '44.0,216.0 376.0,130.0'
    """
    wide, high = _WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN
    places = ((_MARGIN + wide * point["coverage"], _HEIGHT - _MARGIN - high * point["risk"]) for point in curve)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _lines(path: Path) -> list[Any]:
    return read_records(path)[0]
