"""One running engine as operating-system processes: started in a group of its own, stopped to the last child.

Owns the process group, its log file and the promise that nothing is left over, whoever dies first.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

from engine.session import members
from engine.shared_memory import shared_memory_of

MAX_LOG_BYTES = 16 * 2**20
"""A log file longer than this is put aside (``.1``) when the engine starts."""

_FOREIGN = ("VQC_", "PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
"""Variables that the engine must not inherit: our settings and keys, our metrics directory."""

_KILLED_S = 30.0
"""How long a killed process may take to end; one that takes longer hangs in the kernel, where nobody can help it."""

_LOOK_S = 0.02

_REAPER = """
read -r word
[ "$word" = done ] && exit 0
kill -TERM "-$1"
sleep 5
kill -KILL "-$1"
"""
"""Waits on a pipe from us. When it closes unsaid we are gone, and the engine must not outlive us."""


class EngineProcess:
    """A process group that serves a model. ``log_start`` is where in the log file its own output begins."""

    def __init__(self, process: asyncio.subprocess.Process, reaper: asyncio.subprocess.Process, log_start: int) -> None:
        self._process = process
        self._reaper = reaper
        self._shared_memory: frozenset[Path] = frozenset()
        self.log_start = log_start

    @classmethod
    async def start(cls, command: Sequence[str], *, environment: Mapping[str, str], cwd: Path, log_path: Path) -> Self:
        """The engine, just started; its output is appended to ``log_path``.

        Raises:
            OSError: the command or the log file cannot be opened.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        with _opened(log_path) as log:
            log_start = log.tell()
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd,
                env={**inherited, **environment},
                start_new_session=True,
            )
        try:
            reaper = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _REAPER, "vqc-engine-reaper", str(process.pid)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            _signal_group(process.pid, signal.SIGKILL)
            raise
        return cls(process, reaper, log_start)

    @property
    def pid(self) -> int:
        """Of the first process, which is also the group's."""
        return self._process.pid

    @property
    def ended(self) -> str | None:
        """How the first process ended, in words, or None while it runs."""
        return None if self._process.returncode is None else exit_words(self._process.returncode)

    async def wait(self) -> str:
        """How the first process ended, in words, once it has."""
        return exit_words(await self._process.wait())

    def note_shared_memory(self) -> None:
        """Remembers what shared memory the engine uses, to be removed after it: killed, it cannot do so itself."""
        self._shared_memory |= shared_memory_of(self.pid)

    async def stop(self, grace_s: float) -> None:
        """Asks the engine to end, and after ``grace_s`` ends the whole group. Returns when nothing of it is left."""
        self.note_shared_memory()
        try:
            if grace_s > 0 and self._process.returncode is None:
                with suppress(ProcessLookupError):
                    self._process.terminate()
                with suppress(TimeoutError):
                    async with asyncio.timeout(grace_s):
                        await self._process.wait()
        finally:
            _signal_group(self.pid, signal.SIGKILL)
            await self._process.wait()
            await self._gone()
            for path in self._shared_memory:
                path.unlink(missing_ok=True)
            await self._dismiss_reaper()

    async def _gone(self) -> None:
        """Returns when the killed children have ended too: one with gigabytes to give back takes a while."""
        for _ in range(round(_KILLED_S / _LOOK_S)):
            if not any(members(self.pid)):
                return
            await asyncio.sleep(_LOOK_S)

    async def _dismiss_reaper(self) -> None:
        if self._reaper.stdin is not None:
            with suppress(ConnectionError):
                self._reaper.stdin.write(b"done\n")
                self._reaper.stdin.close()
        await self._reaper.wait()


def _opened(log_path: Path) -> BinaryIO:
    """The log file, open for appending; a long one has been put aside."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if log_path.exists() and log_path.stat().st_size > MAX_LOG_BYTES:
        log_path.replace(log_path.with_name(f"{log_path.name}.1"))
    return log_path.open("ab")


def exit_words(returncode: int) -> str:
    """How a process ended.

    >>> exit_words(1), exit_words(-9)
    ('exited with code 1', 'was killed by signal 9 (SIGKILL)')
    """
    if returncode >= 0:
        return f"exited with code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = "unknown"
    return f"was killed by signal {-returncode} ({name})"


def _signal_group(pgid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pgid, number)
