"""A running server as a benchmark sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loadtest.errors import BenchFailed
from loadtest.http.requests import Target
from loadtest.process_usage import ProcessUsage, tree_usage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that takes load, and the root of its process tree if that is known.

    ``check_alive`` raises ``BenchFailed``, with the end of its log, once the process has ended.
    """

    target: Target
    pid: int | None = None
    check_alive: Callable[[], object] = lambda: None

    def usage(self) -> ProcessUsage | None:
        """The usage of its process tree; None if its process is not known. Raises ``BenchFailed``."""
        self.check_alive()
        return None if self.pid is None else tree_usage(self.pid)

    def cpu_s(self) -> float:
        """CPU seconds of its process tree. Raises ``BenchFailed``."""
        if (usage := self.usage()) is None:
            raise BenchFailed("the process of the server is not known")
        return usage.cpu_s
