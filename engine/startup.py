"""The progress of an engine's start, and the cause of a failed one, parsed from vLLM's log."""

from __future__ import annotations

import re
from pathlib import Path

from engine.protocol import StartPhase

_PHASES = (
    (re.compile(r"Resolved architecture"), StartPhase.CORE),
    (re.compile(r"Starting to load model"), StartPhase.LOADING),
    (re.compile(r"Loading safetensors checkpoint shards:\s+(?P<percent>\d+)%"), StartPhase.LOADING),
    (re.compile(r"Loading weights took"), StartPhase.COMPILING),
    (re.compile(r"init engine \("), StartPhase.SERVER),
)
PHASE_TEXT = {
    StartPhase.STARTING: "starting",
    StartPhase.CORE: "starting the engine core",
    StartPhase.LOADING: "loading weights",
    StartPhase.COMPILING: "profiling and compiling",
    StartPhase.SERVER: "starting the server",
    StartPhase.WARMING_UP: "warming up",
}
"""The description of each phase."""
_ERROR = re.compile(r"\b\w*(?:Error|Exception)\b: \S.*")
_SECONDARY = "See root cause above"
_TAIL_BYTES = 256 * 1024


class StartupLog:
    """The part of a log file from byte ``start`` on, parsed as it grows."""

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        self._start = start
        self._offset = start
        self._phase, self._percent = StartPhase.STARTING, ""

    def phase(self) -> tuple[StartPhase, str]:
        """The current phase, according to the last log lines, and its description: ``loading weights (40 %)``."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            # An incomplete line is read again next time. Progress bars end a line with a carriage return.
            complete, newline, _ = log.read().rpartition(b"\n")
        self._offset += len(complete) + len(newline)
        for line in re.split(r"[\r\n]", complete.decode(errors="replace")):
            self._phase, self._percent = _phase_of(line) or (self._phase, self._percent)
        return self._phase, PHASE_TEXT[self._phase] + self._percent

    def last_error(self) -> str | None:
        """The last error in the log that states a cause; None if there is none."""
        with self._path.open("rb") as log:
            log.seek(max(self._start, self._path.stat().st_size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
        errors = [found[0].strip() for found in _ERROR.finditer(text) if _SECONDARY not in found[0]]
        return errors[-1][:300] if errors else None


def _phase_of(line: str) -> tuple[StartPhase, str] | None:
    """The phase that a log line begins, with the percentage if the line has one.

    >>> _phase_of("Loading safetensors checkpoint shards:  40% Completed | 2/5 [00:03<00:05]")
    (<StartPhase.LOADING: 'loading'>, ' (40 %)')
    """
    for pattern, phase in _PHASES:
        if match := pattern.search(line):
            percent = match.groupdict().get("percent")
            return phase, f" ({percent} %)" if percent else ""
    return None
