"""How far an engine's start is, and why it failed, read from the log that vLLM writes."""

from __future__ import annotations

import re
from pathlib import Path

_PHASES = (
    (re.compile(r"Resolved architecture"), "starting the engine core"),
    (re.compile(r"Starting to load model"), "loading weights"),
    (re.compile(r"Loading safetensors checkpoint shards:\s+(?P<percent>\d+)%"), "loading weights"),
    (re.compile(r"Loading weights took"), "profiling and compiling"),
    (re.compile(r"init engine \("), "starting the server"),
)
_ERROR = re.compile(r"\b\w*(?:Error|Exception)\b: \S.*")
_SECONDARY = "See root cause above"
_TAIL_BYTES = 256 * 1024


class StartupLog:
    """The part of a log file from byte ``start`` on, read as it grows."""

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        self._start = start
        self._offset = start
        self._phase = "starting"

    def phase(self) -> str:
        """What the engine is doing by what it last wrote: ``starting``, ``loading weights (40 %)``, …"""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            # A line that is not complete yet is read again next time. Progress bars end theirs with a carriage return.
            complete, newline, _ = log.read().rpartition(b"\n")
        self._offset += len(complete) + len(newline)
        for line in re.split(r"[\r\n]", complete.decode(errors="replace")):
            self._phase = _phase_of(line) or self._phase
        return self._phase

    def last_error(self) -> str | None:
        """The error that ended the engine, as far as its log tells: the last one that names a cause."""
        with self._path.open("rb") as log:
            log.seek(max(self._start, self._path.stat().st_size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
        errors = [found[0].strip() for found in _ERROR.finditer(text) if _SECONDARY not in found[0]]
        return errors[-1][:300] if errors else None


def _phase_of(line: str) -> str | None:
    """The phase that a log line begins.

    >>> _phase_of("Loading safetensors checkpoint shards:  40% Completed | 2/5 [00:03<00:05]")
    'loading weights (40 %)'
    """
    for pattern, phase in _PHASES:
        if match := pattern.search(line):
            percent = match.groupdict().get("percent")
            return f"{phase} ({percent} %)" if percent else phase
    return None
