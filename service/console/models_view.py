"""The charts of the models page: the positions of their bars, computed for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.models.catalogue import CatalogueSnapshot, MetricHistory

LEFT, WIDE, ROW, TOP = 130, 380, 26, 20
"""In chart units: the left end of bars, the longest bar, the height of a row, the height of the limits' labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The value of a version. ``width`` and ``y`` are in chart units; ``missed`` is whether the value misses a limit."""

    digest: str
    aliases: tuple[str, ...]
    value: str
    width: float
    y: float
    missed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit that the bars must reach (``least``) or not exceed."""

    least: bool
    value: str
    x: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChart:
    """One metric over the versions."""

    report: str
    metric: str
    bars: tuple[Bar, ...]
    limits: tuple[Limit, ...]
    height: int


def charts(measured: Sequence[MetricHistory], catalogue: CatalogueSnapshot) -> list[MetricChart]:
    """A chart for every metric that some version has."""
    aliases = {one.digest: one.aliases for one in catalogue.versions}
    return [chart(one, aliases) for one in measured if one.values]


def chart(measured: MetricHistory, aliases: dict[str, tuple[str, ...]]) -> MetricChart:
    """The chart of one metric. Its scale is 0 to 1, unless all values are much smaller or some value is larger.

    >>> one = MetricHistory(report="evaluation", metric="f1", minimum=0.5, maximum=None, values=(("sha256:a", 0.25),))
    >>> drawn = chart(one, {})
    >>> drawn.bars[0].width, drawn.bars[0].missed, drawn.limits[0].x
    (95.0, True, 320.0)
    """
    limits = [(True, measured.minimum), (False, measured.maximum)]
    named = [(least, value) for least, value in limits if value is not None]
    scale = WIDE / _top(max(value for _, value in (*measured.values, *named)))
    return MetricChart(
        report=measured.report,
        metric=measured.metric,
        bars=tuple(
            Bar(
                digest=digest,
                aliases=aliases.get(digest, ()),
                value=f"{value:.4g}",
                width=round(max(value, 0.0) * scale, 1),
                y=TOP + row * ROW,
                missed=any(value < limit if least else value > limit for least, limit in named),
            )
            for row, (digest, value) in enumerate(measured.values)
        ),
        limits=tuple(
            Limit(least=least, value=f"{value:.4g}", x=round(LEFT + value * scale, 1)) for least, value in named
        ),
        height=TOP + len(measured.values) * ROW + 4,
    )


def _top(largest: float) -> float:
    """The upper end of the scale."""
    if largest > 1:
        return largest
    return largest * 1.25 if 0 < largest < 0.2 else 1.0
