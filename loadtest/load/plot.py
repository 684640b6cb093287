"""A load report as a picture (SVG): latency over the offered rate, or over time if all steps have one rate."""

from __future__ import annotations

from html import escape
from math import ceil, floor, log10

from loadtest.load.search import LoadReport, LoadStep

_W, _H = 920, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 256, 44, 56
_COLOURS = ("#0b6e99", "#c2571a", "#3a7d2c", "#8a3ab9", "#a8324a")
_STYLES = (("p50_ms", "p50", "6 0"), ("p95_ms", "p95", "5 4"), ("first_p50_ms", "first object p50", "2 4"))
_FONT = 'font-family="sans-serif" font-size="12" fill="#222"'


def svg(report: LoadReport, title: str) -> str:
    """The picture. The units are at the axes; the axis of milliseconds is logarithmic."""
    steps = _by_rate(report)
    rates = [step.rate_per_s for step in steps]
    over_time = len(set(rates)) == 1 and len(steps) > 1
    xs = [(n + 1) * step.seconds / 60 for n, step in enumerate(steps)] if over_time else rates
    curves = [(label, name, dash, colour, points) for label, name, dash, colour, points in _curves(steps, xs) if points]
    values = [y for *_, points in curves for _, y in points]
    low, high = (floor(log10(min(values))), ceil(log10(max(values)) + 1e-9)) if values else (0, 1)
    high = max(high, low + 1)
    x_most = max(xs) * 1.05

    def at(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + x / x_most * (_W - _LEFT - _RIGHT)
        return across, _H - _BOTTOM - (log10(y) - low) / (high - low) * (_H - _TOP - _BOTTOM)

    parts = [_text(_LEFT, 24, title, 'font-weight="bold"')]
    for power in range(low, high + 1):
        _, y = at(0, 10.0**power)
        parts += [_line(_LEFT, y, _W - _RIGHT, y, "#ddd"), _text(_LEFT - 8, y + 4, f"{10.0**power:g}", _END)]
    for x in _ticks(x_most):
        across, _ = at(x, 10.0**low)
        parts += [_text(across, _H - _BOTTOM + 18, f"{x:g}", _MIDDLE)]
    parts.append(
        _text((_LEFT + _W - _RIGHT) / 2, _H - 14, "minutes" if over_time else "requests due per second", _MIDDLE)
    )
    parts.append(_text(18, _TOP - 8, "ms"))
    if report.highest_met_per_s:
        x, _ = at(report.highest_met_per_s, 10.0**low)
        parts += [_line(x, _TOP, x, _H - _BOTTOM, "#999", "3 3")]
        parts += [_text(x + 4, _TOP + 12, f"meets the SLO up to {report.highest_met_per_s:g}/s")]
    for n, (label, name, dash, colour, points) in enumerate(curves):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        parts += [_dot(*at(*point), colour) for point in points]
        y = _TOP + 18 * n
        parts += [_line(_W - _RIGHT + 14, y, _W - _RIGHT + 44, y, colour, dash, 2)]
        parts += [_text(_W - _RIGHT + 50, y + 4, f"{label} {name}")]
    body = "\n".join(parts)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_W}" height="{_H}" viewBox="0 0 {_W} {_H}">'
    return f'{head}\n<rect width="{_W}" height="{_H}" fill="white"/>\n{body}\n</svg>\n'


_END, _MIDDLE = 'text-anchor="end"', 'text-anchor="middle"'


def _by_rate(report: LoadReport) -> list[LoadStep]:
    return sorted(report.steps, key=lambda step: step.rate_per_s)  # stable: steps of one rate keep their order


def _curves(steps: list[LoadStep], xs: list[float]) -> list[tuple[str, str, str, str, list[tuple[float, float]]]]:
    labels = [*dict.fromkeys(kind.label for step in steps for kind in step.kinds)]
    return [
        (
            label,
            name,
            dash,
            _COLOURS[n % len(_COLOURS)],
            [
                (x, value)
                for x, step in zip(xs, steps, strict=True)
                for kind in step.kinds
                if kind.label == label and (value := getattr(kind, field)) is not None
            ],
        )
        for n, label in enumerate(labels)
        for field, name, dash in _STYLES
    ]


def _ticks(most: float) -> list[float]:
    step = 10 ** floor(log10(most))
    step = next(step / part for part in (1, 2, 5, 10) if most / (step / part) >= 4)
    return [round(n * step, 6) for n in range(int(most / step) + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dash: str = "6 0", width: int = 1) -> str:
    where = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {where} stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}"/>'


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {_FONT} {more}>{escape(text)}</text>'


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
