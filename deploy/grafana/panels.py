"""The parts of a dashboard, and their translation to Grafana's schema (grafana-foundation-sdk)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Unit = Literal["s", "percentunit", "reqps", "ops", "bytes", "short", "none"]
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A PromQL expression and the name of its series; ``{{label}}`` is replaced by the label's value."""

    expr: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One panel: lines over time, one value, or a table of current values. ``text`` says how to read it.

    ``good`` and ``bad`` are limits of one value: green on the side of ``good``, red beyond ``bad``, orange between.
    """

    title: str
    text: str
    unit: Unit
    queries: Sequence[Query]
    kind: Literal["lines", "value", "table"] = "lines"
    width: int = 8
    good: float | None = None
    bad: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A variable of a dashboard: the values of a label, of which the viewer selects some."""

    name: str
    metric: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A dashboard: rows of panels, each with its title."""

    uid: str
    title: str
    rows: Sequence[tuple[str, Sequence[Chart]]]
    choices: Sequence[Choice] = field(default=())


def build_dashboard(board: Board) -> dashboard.Dashboard:
    """The dashboard as Grafana's builder."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .tags(["vqc"])
        .readonly()
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus").label("Prometheus"))
        .link(dashboard.DashboardLink("VQC").type(DashboardLinkType.DASHBOARDS).tags(["vqc"]).as_dropdown(True))
    )
    for choice in board.choices:
        built.with_variable(
            dashboard.QueryVariable(choice.name)
            .query(f"label_values({choice.metric}, {choice.label})")
            .datasource(SOURCE)
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .include_all(True)
            .all_value(".*")
            .multi(True)
        )
    number = count(1)
    for title, charts in board.rows:
        built.with_row(dashboard.Row(title).id(next(number)))
        for chart in charts:
            built.with_panel(_panel(chart).id(next(number)))
    return built


def _panel(chart: Chart) -> timeseries.Panel | stat.Panel | table.Panel:
    panel = {"lines": _lines, "value": _value, "table": _table}[chart.kind](chart)
    panel.title(chart.title).description(chart.text).datasource(SOURCE).span(chart.width)
    for letter, query in zip("ABCDEFGH", chart.queries, strict=False):
        target = prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend)
        if chart.kind == "lines":
            panel.with_target(target.range().exemplar(query.exemplars))
        elif chart.kind == "table":
            panel.with_target(target.instant().format(PromQueryFormat.TABLE))
        else:
            panel.with_target(target.instant())
    return panel


def _lines(chart: Chart) -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = timeseries.Panel().unit(chart.unit).height(8).legend(legend.show_legend(True)).fill_opacity(10)
    return panel.axis_soft_min(0)


def _value(chart: Chart) -> stat.Panel:
    last = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    panel = stat.Panel().unit(chart.unit).height(4).no_value("no traffic").reduce_options(last)
    if chart.good is None or chart.bad is None:
        return panel
    rising = chart.good < chart.bad
    colours = ("green", "orange", "red") if rising else ("red", "orange", "green")
    limits = sorted((chart.good, chart.bad))
    steps = [Threshold(value=value, color=colour) for value, colour in zip((None, *limits), colours, strict=True)]
    return panel.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))


def _table(chart: Chart) -> table.Panel:
    return table.Panel().unit(chart.unit).height(8).show_header(True)
