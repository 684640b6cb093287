"""How much work is let in, and whether any is: admission and draining."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.platform.errors import Draining, Overloaded


class Intake:
    """Counts the work in flight against ``limit``. Refuses before any work is done.

    ``leaving`` is what readiness says, so that nobody sends more; ``draining`` refuses what comes all the same.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self.leaving = False
        self.draining = False

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Holds one place for the time of the block.

        Raises:
            Draining: no new work is taken any more.
            Overloaded: ``limit`` requests are in flight.
        """
        if self.draining:
            raise Draining
        if self.in_flight >= self.limit:
            raise Overloaded(self.limit)
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
