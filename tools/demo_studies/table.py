"""Runs of a study as a table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any


def table(arms: Iterable[str], lines: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row for each arm that has runs, each number the mean over its seeds and their standard deviation.

    >>> print(table(["a", "b"], [{"arm": "a", "seed": n, "scores": {"boxes": n / 10}} for n in (4, 6)]))
    | | seeds | boxes |
    |---|---|---|
    | a | 2 | 0.500 ± 0.100 |
    """
    names = list(lines[0]["scores"]) if lines else []
    rows = [f"| | seeds | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for arm in arms:
        runs = [line["scores"] for line in lines if line["arm"] == arm]
        if runs:
            columns = [[run[name] for run in runs] for name in names]
            rows.append(f"| {arm} | {len(runs)} | {' | '.join(map(_shown, columns))} |")
    return "\n".join(rows)


def _shown(values: list[float]) -> str:
    mean = statistics.mean(values)
    return f"{mean:.3f} ± {statistics.pstdev(values):.3f}" if len(values) > 1 else f"{mean:.3f}"
