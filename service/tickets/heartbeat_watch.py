"""How long a running ticket has had the same heartbeat, by the clock of the process that watches it.

A wall clock, that of Redis too, can be set back or ahead, and an age that is computed from it is then wrong: a dead worker
looks alive, or a living one dead. A watcher only asks whether a heartbeat has changed, and counts by its own monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic


class HeartbeatWatch:
    """What one process has seen of the heartbeats."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[str, float]] = {}
        self._last_seen: dict[str, float] = {}

    def unchanged_s(self, id: str, beat: str) -> float:
        """Seconds for which this process has seen the ticket with this heartbeat; 0 when it sees it for the first time."""
        now = self._clock()
        known, since = self._seen.get(id, (None, now))
        if known != beat:
            known, since = beat, now
        self._seen[id] = (beat, since)
        self._last_seen[id] = now
        return now - since

    def quiet(self, beats: Mapping[str, str], quiet_s: float) -> list[str]:
        """Those of all running tickets whose heartbeat has not changed for ``quiet_s``. Returning one begins a new count."""
        self._seen = {id: seen for id, seen in self._seen.items() if id in beats}
        self._last_seen = {id: at for id, at in self._last_seen.items() if id in beats}
        quiet = [id for id, beat in beats.items() if self.unchanged_s(id, beat) >= quiet_s]
        for id in quiet:
            self._seen[id] = (beats[id], self._clock())
        return quiet

    def forget_unseen(self, unseen_s: float) -> None:
        """Forgets what was last seen so long ago."""
        oldest = self._clock() - unseen_s
        for id in [id for id, at in self._last_seen.items() if at < oldest]:
            del self._seen[id], self._last_seen[id]
