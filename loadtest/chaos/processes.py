"""The processes under test. Each is started again whenever it has ended."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class Supervised:
    """One process, as a supervisor keeps it: a process that has ended is started again."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._ending = False
        self.starts = 0

    async def keep(self) -> None:
        """Runs the process until cancelled, then kills it."""
        try:
            while not self._ending:
                with self._log.open("ab") as log:
                    self._process = await asyncio.create_subprocess_exec(
                        *self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
                    )
                self.starts += 1
                await self._process.wait()
                await asyncio.sleep(0.2)
        finally:
            self.send(signal.SIGCONT)
            self.send(signal.SIGKILL)
            if self._process:
                await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process, if it runs."""
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def limit_files(self, length: int | None) -> None:
        """Lets the process write no file beyond so many bytes, as a full disk does; None lets it again."""
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (hard if length is None else length, hard))
