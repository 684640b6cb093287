"""A list of counts as a command-line option."""

from __future__ import annotations

import click


class Counts(click.ParamType):
    """Positive whole numbers separated by commas."""

    name = "N,N,…"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers, in their order."""
        try:
            counts = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            counts = ()
        if not counts or min(counts) < 1:
            self.fail(f"{value!r} must be whole numbers from 1, separated by commas, such as 1,16,64", param, ctx)
        return counts
