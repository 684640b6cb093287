"""Charts of the models page: bars with their places on the drawing, so that the template only writes them down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.models.catalogue import Catalogue, Measured

LEFT, WIDE, ROW, TOP = 130, 380, 26, 20
"""Of a chart, in its own units: where bars begin, the longest bar, the height of a row, room for the limits' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A version's number. ``width`` and ``y`` are places on the drawing; ``missed`` says that a limit is."""

    digest: str
    aliases: tuple[str, ...]
    value: str
    width: float
    y: float
    missed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A line that the bars must reach (``least``) or stay below."""

    least: bool
    value: str
    x: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One number over the versions."""

    report: str
    metric: str
    bars: tuple[Bar, ...]
    limits: tuple[Limit, ...]
    height: int


def charts(measured: Sequence[Measured], catalogue: Catalogue) -> list[Chart]:
    """A chart for every number that some version has."""
    aliases = {one.digest: one.aliases for one in catalogue.versions}
    return [chart(one, aliases) for one in measured if one.values]


def chart(measured: Measured, aliases: dict[str, tuple[str, ...]]) -> Chart:
    """The bars of one number, on a scale from 0 to 1 unless all that is drawn is much smaller or something is larger.

    >>> one = Measured(report="evaluation", metric="f1", minimum=0.5, maximum=None, values=(("sha256:a", 0.25),))
    >>> drawn = chart(one, {})
    >>> drawn.bars[0].width, drawn.bars[0].missed, drawn.limits[0].x
    (95.0, True, 320.0)
    """
    limits = [(True, measured.minimum), (False, measured.maximum)]
    named = [(least, value) for least, value in limits if value is not None]
    scale = WIDE / _top(max(value for _, value in (*measured.values, *named)))
    return Chart(
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
    """The end of the scale."""
    if largest > 1:
        return largest
    return largest * 1.25 if 0 < largest < 0.2 else 1.0
