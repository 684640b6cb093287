"""An engine that we run ourselves: vLLM in its own process group on a private Unix socket, watched and restarted.

Owns its life: start-up with progress, heartbeat, watchdog, restart with back-off, stop. Requests go through
``engine.client``; while the engine is down they are refused at once, with the reason.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from engine.client import VllmClient
from engine.errors import (
    EngineError,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
)
from engine.process import EngineProcess
from engine.profile import EngineSettings, vllm_command, vllm_environment
from engine.protocol import DecodingParams, Delta, GenerateRequest, Generation, Health, StartPhase
from engine.startup import WORDS, StartupLog

CANARY_PRIORITY = -1000
"""A canary is served before everything else."""

MAX_SOCKET_PATH = 100
"""Longest path that a Unix socket may have, with some room."""

_POLL_S = 0.25
_log = structlog.get_logger("engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long what may take, in seconds.

    A start gets ``start_s``. Every ``heartbeat_s`` the engine is looked at; with requests in flight and no word for
    ``stall_s`` or for one's whole deadline (or no answer to the heartbeat), a one-token canary gets ``canary_s``.
    Between restarts ``backoff_s``, doubled each time up to ``backoff_max_s``, from the start again after ``healthy_s``
    of service.
    To stop, the engine gets ``stop_s`` before it is killed.
    """

    start_s: float = 900.0
    heartbeat_s: float = 2.0
    stall_s: float = 60.0
    canary_s: float = 60.0
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    healthy_s: float = 60.0
    stop_s: float = 30.0


class ManagedEngine:
    """Runs an engine between ``start`` and ``aclose`` (or as an async context, which waits until it is ready).

    ``log_path`` receives the engine's own output. ``warmup`` is asked before the engine counts as ready, for example
    to have grammars compiled. ``command`` builds the command line.
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        log_path: Path,
        patience: Patience | None = None,
        warmup: Sequence[GenerateRequest] = (),
        command: Callable[[EngineSettings, Path], list[str]] = vllm_command,
    ) -> None:
        self._settings = settings
        self._log_path = log_path.absolute()
        self._patience = patience or Patience()
        self._warmup = tuple(warmup)
        self._command = command
        self._supervisor: asyncio.Task[None] | None = None
        self._process: EngineProcess | None = None
        self._client: VllmClient | None = None
        """Present exactly while requests are let through."""
        self._reason = "not started"
        self._phase: StartPhase | None = None
        self._phase_since: float | None = None
        self._retry_after_s = 5.0
        self._restarts = 0
        self._failed_starts = 0
        self._changed = asyncio.Condition()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._progress_at = 0.0
        self._suspected = False
        """Set by a request that ran into its deadline while nobody got an answer."""
        self._doubted = asyncio.Event()
        """Set by a request that got no answer: the supervisor need not wait for its next heartbeat."""

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            await self.wait_until_ready()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Begins to start the engine and returns; ``health`` says how far it is."""
        if self._supervisor is None:
            self._reason = "starting"
            self._supervisor = asyncio.create_task(self._supervise(), name="engine supervisor")

    async def wait_until_ready(self) -> None:
        """Returns when the engine answers.

        Raises:
            EngineUnavailable: a start failed (another one follows), or the engine is not being run.
        """
        failed = self._failed_starts
        while True:
            async with self._changed:
                await self._changed.wait_for(
                    lambda: self._client is not None or self._failed_starts > failed or self._supervisor is None
                )
            if self._client is None:
                raise self._unavailable()
            if (await self._client.health()).ready:
                return
            await asyncio.sleep(_POLL_S)  # it has just died, and the supervisor is about to notice

    async def generate(self, request: GenerateRequest) -> Generation:
        """The complete answer."""
        with self._passage() as client:
            return await client.generate(request)

    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """The answer piece by piece."""
        with self._passage() as client:
            async with aclosing(client.stream(request)) as deltas:
                async for delta in deltas:
                    self._progress_at = _now()
                    yield delta

    async def health(self) -> Health:
        """Whether the engine answers now, else what it is doing and for how long."""
        client = self._client
        if client is None:
            return Health(ready=False, reason=self._state(), restarts=self._restarts, phase=self._phase)
        health = await client.health()
        return Health(ready=health.ready, reason=health.reason, restarts=self._restarts)

    async def metrics(self) -> str:
        """The engine's own metrics in Prometheus' text format. Raises ``EngineUnavailable``."""
        if self._client is None:
            raise self._unavailable()
        return await self._client.metrics()

    @property
    def pid(self) -> int | None:
        """Of the engine's first process, while there is one."""
        return self._process.pid if self._process else None

    async def aclose(self) -> None:
        """Stops the engine: new requests are refused, those in flight get ``stop_s``. Nothing is left afterwards."""
        self._shut("stopping")
        await self._drained(self._patience.stop_s)
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await supervisor
        await self._say("stopped")

    @contextmanager
    def _passage(self) -> Iterator[VllmClient]:
        """Lets one request through to the engine and counts it; an engine lost on the way is what the caller hears of."""
        client = self._client
        if client is None:
            raise self._unavailable()
        if not self._in_flight:
            self._progress_at = _now()
        self._in_flight += 1
        self._idle.clear()
        began = _now()
        try:
            yield client
            self._progress_at = _now()
        except EngineRefused:
            self._progress_at = _now()
            raise
        except EngineTimeout:
            if self._progress_at <= began:  # nobody got a word all the while
                self._suspected = True
                self._doubted.set()
            raise
        except (EngineUnavailable, EngineFailed) as error:
            ended = self._process.ended if self._process else None
            if self._client is client and ended:  # the supervisor is about to notice
                self._shut(f"the engine {ended}; restarting")
            if self._client is client:
                if not isinstance(error, EngineOverloaded):
                    self._doubted.set()
                raise
            raise self._unavailable() from error
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def _supervise(self) -> None:
        """Runs the engine again and again until cancelled."""
        failures = 0
        while True:
            ready_at, ended = await self._run_once()
            if ready_at is not None and _now() - ready_at >= self._patience.healthy_s:
                failures = 0
            delay_s = min(self._patience.backoff_s * 2 ** min(failures, 16), self._patience.backoff_max_s)
            failures += 1
            self._restarts += 1
            self._failed_starts += ready_at is None
            self._retry_after_s = delay_s + 5
            _log.warning("engine_down", reason=ended, restart_in_s=delay_s, attempt=failures)
            await self._say(f"{ended}; restarting in {delay_s:g} s, attempt {failures}")
            await asyncio.sleep(delay_s)
            await self._say(f"{ended}; restarting, attempt {failures}", ongoing=True)

    async def _run_once(self) -> tuple[float | None, str]:
        """One life of the engine: when it became ready, if it did, and how it ended."""
        ready_at, stop_s = None, self._patience.stop_s
        before = f"{self._reason}: " if self._restarts else ""
        directory, client = None, None
        try:
            directory = Path(tempfile.mkdtemp(prefix="vqc-engine-", dir=_socket_root()))  # mode 0700
            uds = directory / "engine.sock"
            process = self._process = await EngineProcess.start(
                self._command(self._settings, uds),
                environment={**vllm_environment(self._settings), "TMPDIR": str(directory)},
                cwd=directory,
                log_path=self._log_path,
            )
            _log.info("engine_starting", pid=process.pid, profile=self._settings.hardware, log=str(self._log_path))
            client = VllmClient(uds, self._settings.served_name, known_down=lambda: process.ended)
            exited = asyncio.create_task(process.wait())
            failed = await self._start_up(StartupLog(self._log_path, process.log_start), client, exited, before)
            if failed is not None:
                return None, failed
            ready_at = _now()
            process.note_shared_memory()
            _log.info("engine_ready", pid=process.pid)
            ended = await self._watch(client, exited)
            stop_s = 0.0
            self._shut(f"{ended}; restarting")
            return ready_at, ended
        except Exception as error:  # whatever it is, the engine is tried again and the reason is shown
            return ready_at, f"the engine cannot be run: {_words(error)}"
        finally:
            self._shut("stopping")
            if self._process is not None:
                await self._process.stop(stop_s)
                self._process = None
            if client is not None:
                await self._drained(1.0)  # they see that the engine is gone
                await client.aclose()
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)

    async def _start_up(
        self, log: StartupLog, client: VllmClient, exited: asyncio.Task[str], before: str
    ) -> str | None:
        """Waits until the engine answers and is warm, then lets requests through. Else says why it did not start."""
        deadline = _now() + self._patience.start_s
        self._phase_since = _now()
        while not (await client.health()).ready:
            await asyncio.wait({exited}, timeout=_POLL_S)
            self._phase, phase = log.phase()
            if exited.done():
                return f"the engine {exited.result()} while {phase}: {log.last_error() or 'see its log'}"
            if _now() > deadline:
                return f"the engine did not start within {self._patience.start_s:g} s; it was {phase}"
            self._reason = f"{before}{phase}"
        self._phase, self._reason = StartPhase.WARMING_UP, f"{before}{WORDS[StartPhase.WARMING_UP]}"
        try:
            for request in (_canary(max(deadline - _now(), 1.0)), *self._warmup):
                await client.generate(request)
        except EngineError as error:
            return f"the engine failed to warm up: {error.reason}"
        self._progress_at = _now()
        self._client = client
        self._retry_after_s = 5.0
        await self._say("ready")
        return None

    async def _watch(self, client: VllmClient, exited: asyncio.Task[str]) -> str:
        """Returns, with the reason, once the engine has exited or no longer works."""
        while True:
            await self._heartbeat(exited)
            if exited.done():
                return f"the engine {exited.result()}"
            stalled = self._in_flight and _now() - self._progress_at >= self._patience.stall_s
            suspected, self._suspected = self._suspected, False
            if suspected or stalled or not (await client.health()).ready:
                canary = asyncio.create_task(self._survives_canary(client))
                try:
                    await asyncio.wait({canary, exited}, return_when=asyncio.FIRST_COMPLETED)
                    if not exited.done() and not canary.result():
                        return "the engine stopped answering"
                finally:
                    canary.cancel()

    async def _heartbeat(self, exited: asyncio.Task[str]) -> None:
        """Returns after ``heartbeat_s``, when the engine exits, or soon after a request got no answer."""
        await asyncio.wait({exited}, timeout=min(_POLL_S, self._patience.heartbeat_s))
        doubted = asyncio.create_task(self._doubted.wait())
        await asyncio.wait({exited, doubted}, timeout=self._patience.heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
        doubted.cancel()
        self._doubted.clear()

    async def _survives_canary(self, client: VllmClient) -> bool:
        """Whether the engine answers one token, or anybody got a word from it meanwhile."""
        before = self._progress_at
        try:
            await client.generate(_canary(self._patience.canary_s))
        except (EngineRefused, EngineOverloaded):
            pass  # an answer too
        except EngineError:
            return self._progress_at > before
        self._progress_at = _now()
        return True

    async def _drained(self, limit_s: float) -> None:
        """Returns when no request is in flight any more, or after ``limit_s``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._idle.wait()

    def _shut(self, reason: str) -> None:
        """Lets no more requests through, for this reason."""
        if self._client is not None:
            self._client, self._reason = None, reason

    async def _say(self, reason: str, *, ongoing: bool = False) -> None:
        """Changes what ``health`` says and wakes whoever waits for a change."""
        self._reason, self._phase = reason, None
        self._phase_since = _now() if ongoing else None
        async with self._changed:
            self._changed.notify_all()

    def _state(self) -> str:
        """The reason, with the seconds that a phase has taken so far."""
        return self._reason if self._phase_since is None else f"{self._reason} ({_now() - self._phase_since:.0f} s)"

    def _unavailable(self) -> EngineUnavailable:
        return EngineUnavailable(self._state(), self._retry_after_s)


def _canary(timeout_s: float) -> GenerateRequest:
    return GenerateRequest(
        request_id="canary",
        system="",
        user=("1",),
        decoding=DecodingParams(max_new_tokens=1),
        priority=CANARY_PRIORITY,
        timeout_s=timeout_s,
    )


def _socket_root() -> str | None:
    """A directory short enough for a Unix socket below it: None for the usual temporary one."""
    room = MAX_SOCKET_PATH - len("/vqc-engine-12345678/engine.sock")
    return None if len(tempfile.gettempdir()) <= room else "/tmp"


def _words(error: Exception) -> str:
    return error.reason if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"


def _now() -> float:
    return asyncio.get_running_loop().time()
