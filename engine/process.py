"""An engine's operating-system processes: started in a process group of their own, stopped to the last child.

Owns the process group, its log file and the guarantee that no process is left, whether this process or the engine dies
first.
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
"""A longer log file is renamed (``.1``) when the engine starts."""

_FOREIGN = ("VQC_", "PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
"""Variables that the engine must not inherit: our settings and keys, our metrics directory."""

_KILL_TIMEOUT_S = 30.0
"""How long a killed process may take to end; after that it hangs in the kernel and cannot be helped."""

_POLL_S = 0.02

_REAPER = """
read -r word
[ "$word" = done ] && exit 0
kill -TERM "-$1"
sleep 5
kill -KILL "-$1"
"""
"""Waits on a pipe from this process. If the pipe closes without a word, this process died, and the engine must not survive."""


class EngineProcess:
    """A process group that serves a model. ``log_start`` is where its own output begins in the log file."""

    def __init__(self, process: asyncio.subprocess.Process, reaper: asyncio.subprocess.Process, log_start: int) -> None:
        self._process = process
        self._reaper = reaper
        self._shared_memory: frozenset[Path] = frozenset()
        self.log_start = log_start

    @classmethod
    async def start(cls, command: Sequence[str], *, environment: Mapping[str, str], cwd: Path, log_path: Path) -> Self:
        """Starts an engine; its output is appended to ``log_path``.

        Raises:
            OSError: the command or the log file cannot be opened.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        with _open_log(log_path) as log:
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
        """The process ID of the first process, which is also the group's."""
        return self._process.pid

    @property
    def exit_reason(self) -> str | None:
        """How the first process ended, e.g. ``exited with code 1``; None while it runs."""
        return None if self._process.returncode is None else describe_exit(self._process.returncode)

    async def wait(self) -> str:
        """Waits for the first process to end; returns how, e.g. ``exited with code 1``."""
        return describe_exit(await self._process.wait())

    def note_shared_memory(self) -> None:
        """Records the engine's shared memory files, to be deleted after it: a killed engine cannot delete them itself."""
        self._shared_memory |= shared_memory_of(self.pid)

    async def stop(self, grace_s: float) -> None:
        """Asks the engine to end and, after ``grace_s``, kills the whole group. Returns when no process of it is left."""
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
            await self._wait_for_group()
            for path in self._shared_memory:
                path.unlink(missing_ok=True)
            await self._dismiss_reaper()

    async def _wait_for_group(self) -> None:
        """Waits until the killed children have ended too; one that frees gigabytes takes a while."""
        for _ in range(round(_KILL_TIMEOUT_S / _POLL_S)):
            if not any(members(self.pid)):
                return
            await asyncio.sleep(_POLL_S)

    async def _dismiss_reaper(self) -> None:
        if self._reaper.stdin is not None:
            with suppress(ConnectionError):
                self._reaper.stdin.write(b"done\n")
                self._reaper.stdin.close()
        await self._reaper.wait()


def _open_log(log_path: Path) -> BinaryIO:
    """The log file, opened for appending; an overlong one is renamed first."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if log_path.exists() and log_path.stat().st_size > MAX_LOG_BYTES:
        log_path.replace(log_path.with_name(f"{log_path.name}.1"))
    return log_path.open("ab")


def describe_exit(returncode: int) -> str:
    """How a process ended.

    >>> describe_exit(1), describe_exit(-9)
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
