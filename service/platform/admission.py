"""Admission control: the limit on work in flight, and the drain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from engine.in_flight import InFlight
from service.platform.errors import Draining, Overloaded


class AdmissionControl:
    """Counts the work in flight against ``limit``. Rejects before any work is done.

    A drain has two steps. ``leaving`` turns readiness off, but work is still admitted: load balancers stop sending only after
    they have seen the new readiness. ``draining`` then rejects what still arrives.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.leaving = False
        self.drain_begun = asyncio.Event()
        self._work = InFlight()

    @property
    def draining(self) -> bool:
        """Whether work is rejected. Setting it sets ``drain_begun``, for what waits."""
        return self.drain_begun.is_set()

    @draining.setter
    def draining(self, draining: bool) -> None:
        if draining:
            self.drain_begun.set()
        else:
            self.drain_begun.clear()

    @property
    def in_flight(self) -> int:
        """The admitted work that is not done yet."""
        return self._work.count

    def check(self) -> None:
        """Returns if work would be admitted now.

        Raises:
            Draining: the service no longer accepts work.
            Overloaded: ``limit`` requests are in flight.
        """
        if self.draining:
            raise Draining
        self._check_limit()

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Counts as work in flight for the time of the block. What was checked before a drain is still admitted.

        Raises:
            Overloaded: ``limit`` requests are in flight.
        """
        self._check_limit()
        self._work.acquire()
        try:
            yield
        finally:
            self._work.release()

    def _check_limit(self) -> None:
        if self._work.count >= self.limit:
            raise Overloaded(self.limit)
