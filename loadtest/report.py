"""Rows of a benchmark as a table for people or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from rich.table import Table


def as_json(rows: Sequence[DataclassInstance]) -> str:
    """One JSON document: a list with an object per row."""
    return json.dumps([asdict(row) for row in rows], indent=2)


def table(
    headings: Sequence[str], *, left: Collection[str] = (), title: str | None = None, caption: str | None = None
) -> Table:
    """An empty table. Columns are aligned right, as numbers are, except those whose headings are ``left``."""
    from rich import box
    from rich.table import Table

    result = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1), title=title, caption=caption)
    for heading in headings:
        result.add_column(heading, justify="left" if heading in left else "right", no_wrap=True)
    return result


def cell(value: float | str | None, number_format: str = ",.2f") -> str:
    """A table cell: a dash for None, thousands separated, floats in ``number_format``.

    >>> [cell(1234), cell(0.5), cell(None), cell("met")]
    ['1,234', '0.50', '–', 'met']
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:{number_format}}"
