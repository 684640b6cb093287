"""An engine that the service runs: vLLM in its own process group on a private Unix socket, monitored and restarted.

Owns its life: start-up with progress, heartbeat, watchdog, restart with back-off, stop. Requests go through
``engine.client``; while the engine is down they are rejected at once, with the reason.
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
from typing_extensions import override

from engine.client import VllmClient
from engine.debug_log import without_secrets
from engine.errors import (
    EngineError,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
)
from engine.in_flight import InFlight
from engine.process import EngineProcess
from engine.profile import EngineSettings, vllm_command, vllm_environment
from engine.protocol import DecodingParams, Delta, Engine, GenerateRequest, Generation, Health, StartPhase
from engine.startup import PHASE_TEXT, StartupLog

CANARY_PRIORITY = -1000
"""Canary requests are served before all others."""

MAX_SOCKET_PATH = 100
"""Longest path of a Unix socket, with some margin."""

_POLL_S = 0.25
_EXIT_S = 5.0
"""How long a process may take to exit after it has broken a connection."""
_log = structlog.get_logger("engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorTimeouts:
    """Time limits of the supervisor, in seconds.

    A start may take ``start_s``. The heartbeat runs every ``heartbeat_s``. If it fails, or if requests in flight got no
    token for ``stall_s`` or for one request's whole deadline, a one-token canary request must be answered within
    ``canary_s``. The pause before a restart is ``backoff_s``, doubled each time up to ``backoff_max_s``, and reset after
    ``healthy_s`` of service. A stopping engine gets ``stop_s`` before it is killed.
    """

    start_s: float = 900.0
    heartbeat_s: float = 2.0
    stall_s: float = 60.0
    canary_s: float = 60.0
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    healthy_s: float = 60.0
    stop_s: float = 30.0


class ManagedEngine(Engine):
    """Runs an engine between ``start`` and ``aclose`` (or as an async context, which waits until it is ready).

    ``log_path`` receives the engine's own output. ``warmup`` requests must succeed before the engine counts as ready, for
    example to compile grammars. ``command`` builds the command line.
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        log_path: Path,
        timeouts: SupervisorTimeouts | None = None,
        warmup: Sequence[GenerateRequest] = (),
        command: Callable[[EngineSettings, Path], list[str]] = vllm_command,
    ) -> None:
        self._settings = settings
        self._log_path = log_path.absolute()
        self._timeouts = timeouts or SupervisorTimeouts()
        self._warmup = tuple(warmup)
        self._command = command
        self._supervisor: asyncio.Task[None] | None = None
        self._process: EngineProcess | None = None
        self._client: VllmClient | None = None
        """Set exactly while requests are accepted."""
        self._reason = "not started"
        self._phase: StartPhase | None = None
        self._phase_since: float | None = None
        self._retry_after_s = 5.0
        self._restarts = 0
        self._failed_starts = 0
        self._state_changed = asyncio.Condition()
        self._in_flight = InFlight()
        self._progress_at = 0.0
        self._stall_suspected = False
        """Set by a request that timed out while no other request got a token either."""
        self._check_requested = asyncio.Event()
        """Set by a request that got no answer: the supervisor checks the engine before its next heartbeat."""

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
        """Starts the supervisor and returns; ``health`` reports the progress."""
        if self._supervisor is None:
            self._reason = "starting"
            self._supervisor = asyncio.create_task(self._supervise(), name="engine supervisor")

    async def wait_until_ready(self) -> None:
        """Waits until the engine answers.

        Raises:
            EngineUnavailable: a start failed (another one follows), or the engine is not being run.
        """
        failed = self._failed_starts
        while True:
            async with self._state_changed:
                await self._state_changed.wait_for(
                    lambda: self._client is not None or self._failed_starts > failed or self._supervisor is None
                )
            if self._client is None:
                raise self._unavailable()
            if (await self._client.health()).ready:
                return
            await asyncio.sleep(_POLL_S)  # it has just died, and the supervisor has not noticed yet

    @override
    async def generate(self, request: GenerateRequest) -> Generation:
        with self._track_request() as client:
            return await client.generate(request)

    @override
    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        with self._track_request() as client:
            async with aclosing(client.stream(request)) as deltas:
                async for delta in deltas:
                    self._progress_at = _now()
                    yield delta

    @override
    async def health(self) -> Health:
        client = self._client
        if client is None:
            return Health(ready=False, reason=self._describe_state(), restarts=self._restarts, phase=self._phase)
        health = await client.health()
        return Health(ready=health.ready, reason=health.reason, restarts=self._restarts)

    async def metrics(self) -> str:
        """The engine's own metrics in Prometheus text format. Raises ``EngineUnavailable``."""
        if self._client is None:
            raise self._unavailable()
        return await self._client.metrics()

    @property
    def pid(self) -> int | None:
        """The engine's first process; None while there is none."""
        return self._process.pid if self._process else None

    @override
    async def aclose(self) -> None:
        """Stops the engine: new requests are rejected, those in flight get ``stop_s``. No process is left afterwards."""
        self._stop_accepting("stopping")
        await self._in_flight.drain(self._timeouts.stop_s)
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await supervisor
        await self._set_state("stopped")

    @contextmanager
    def _track_request(self) -> Iterator[VllmClient]:
        """Counts one request and yields the client; turns a failure of this engine into the right error for the caller."""
        client = self._client
        if client is None:
            raise self._unavailable()
        if not self._in_flight.count:  # the first request after a pause: silence during the pause was no stall
            self._progress_at = _now()
        self._in_flight.acquire()
        began = _now()
        try:
            yield client
            self._progress_at = _now()
        except EngineRefused:
            self._progress_at = _now()
            raise
        except EngineTimeout:
            # A slow request among others that progress is its own problem; silence for all is the engine's.
            if self._progress_at <= began:
                self._stall_suspected = True
                self._check_requested.set()
            raise
        except (EngineUnavailable, EngineFailed) as error:
            # The process may be dead before the supervisor notices: later requests must not run into the same error.
            exit_reason = self._process.exit_reason if self._process else None
            if self._client is client and exit_reason:
                self._stop_accepting(f"the engine {exit_reason}; restarting")
            if self._client is client:
                if not isinstance(error, EngineOverloaded):
                    self._check_requested.set()
                raise
            raise self._unavailable() from error  # this engine is being replaced: say so, with the time to retry after
        finally:
            self._in_flight.release()

    async def _supervise(self) -> None:
        """Runs the engine again and again until cancelled."""
        failures = 0
        while True:
            ready_at, reason = await self._run_once()
            if ready_at is not None and _now() - ready_at >= self._timeouts.healthy_s:
                failures = 0
            delay_s = min(self._timeouts.backoff_s * 2 ** min(failures, 16), self._timeouts.backoff_max_s)
            failures += 1
            self._restarts += 1
            self._failed_starts += ready_at is None
            self._retry_after_s = delay_s + 5
            _log.warning("engine_down", reason=reason, restart_in_s=delay_s, attempt=failures)
            await self._set_state(f"{reason}; restarting in {delay_s:g} s, attempt {failures}")
            await asyncio.sleep(delay_s)
            await self._set_state(f"{reason}; restarting, attempt {failures}", ongoing=True)

    async def _run_once(self) -> tuple[float | None, str]:
        """One life of the engine: when it became ready (None: never), and why it ended."""
        ready_at, stop_s = None, self._timeouts.stop_s
        before = f"{self._reason}: " if self._restarts else ""
        directory, client = None, None
        try:
            directory = Path(tempfile.mkdtemp(prefix="vqc-engine-", dir=_socket_root()))  # 0700: only we can connect
            uds = directory / "engine.sock"
            command = self._command(self._settings, uds)
            _log.debug("engine_command", command=without_secrets(command))
            process = self._process = await EngineProcess.start(
                command,
                environment={**vllm_environment(self._settings), "TMPDIR": str(directory)},
                cwd=directory,
                log_path=self._log_path,
            )
            _log.info("engine_starting", pid=process.pid, profile=self._settings.hardware, log=str(self._log_path))
            client = VllmClient(uds, self._settings.served_name, down_reason=lambda: process.exit_reason)
            exited = asyncio.create_task(process.wait())
            failed = await self._wait_for_start(StartupLog(self._log_path, process.log_start), client, exited, before)
            if failed is not None:
                return None, failed
            ready_at = _now()
            process.note_shared_memory()  # now, because a process that dies later takes its mappings with it
            _log.info("engine_ready", pid=process.pid)
            reason = await self._watch(client, exited)
            stop_s = 0.0  # it is dead or stuck: a grace period would only delay the restart
            self._stop_accepting(f"{reason}; restarting")
            return ready_at, reason
        except Exception as error:  # the supervisor must survive everything: restart, and show the reason
            return ready_at, f"the engine cannot be run: {_message(error)}"
        finally:
            self._stop_accepting("stopping")
            if self._process is not None:
                await self._process.stop(stop_s)
                self._process = None
            if client is not None:
                await self._in_flight.drain(
                    1.0
                )  # their connections are broken: they fail by themselves, with the right error
                await client.aclose()
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)

    async def _wait_for_start(
        self, log: StartupLog, client: VllmClient, exited: asyncio.Task[str], before: str
    ) -> str | None:
        """Waits until the engine answers and is warm, then accepts requests. Else returns why it did not start."""
        deadline = _now() + self._timeouts.start_s
        self._phase_since = _now()
        while not (await client.health()).ready:
            await asyncio.wait({exited}, timeout=_POLL_S)
            self._phase, phase = log.phase()
            if exited.done():
                return self._describe_failure(f"the engine {exited.result()} while {phase}", log)
            if _now() > deadline:
                slow = f"the engine did not start within {self._timeouts.start_s:g} s; it was {phase}"
                return self._describe_failure(slow, log)
            self._reason = f"{before}{phase}"
        self._phase, self._reason = StartPhase.WARMING_UP, f"{before}{PHASE_TEXT[StartPhase.WARMING_UP]}"
        try:
            for request in (_canary(max(deadline - _now(), 1.0)), *self._warmup):
                await client.generate(request)
        except EngineError as error:
            # A dying engine closes its connections first: what it exits with is the cause, not the broken connection.
            await asyncio.wait({exited}, timeout=_EXIT_S)
            ended = f"{exited.result()} while warming up" if exited.done() else f"failed to warm up: {error.reason}"
            return self._describe_failure(f"the engine {ended}", log)
        self._progress_at = _now()
        self._client = client
        self._retry_after_s = 5.0
        await self._set_state("ready")
        return None

    def _describe_failure(self, what: str, log: StartupLog) -> str:
        """What happened, the last error in the log, and where the log is."""
        cause = log.last_error()
        return f"{what}{f': {cause}' if cause else ''}; its log is {self._log_path}"

    async def _watch(self, client: VllmClient, exited: asyncio.Task[str]) -> str:
        """Waits until the engine has exited or no longer works; returns the reason."""
        while True:
            await self._heartbeat(exited)
            if exited.done():
                return f"the engine {exited.result()}"
            stalled = self._in_flight.count and _now() - self._progress_at >= self._timeouts.stall_s
            suspected, self._stall_suspected = self._stall_suspected, False
            # vLLM's /health only knows errors, so a stuck engine looks healthy: only an answered request proves that it
            # works.
            if suspected or stalled or not (await client.health()).ready:
                canary = asyncio.create_task(self._survives_canary(client))
                try:
                    await asyncio.wait({canary, exited}, return_when=asyncio.FIRST_COMPLETED)
                    if not exited.done() and not canary.result():
                        return "the engine stopped answering"
                finally:
                    canary.cancel()

    async def _heartbeat(self, exited: asyncio.Task[str]) -> None:
        """Waits ``heartbeat_s``, or less if the engine exits or a request got no answer."""
        # The first wait bounds the rate: without it, failing requests would make the heartbeat a busy loop.
        await asyncio.wait({exited}, timeout=min(_POLL_S, self._timeouts.heartbeat_s))
        doubted = asyncio.create_task(self._check_requested.wait())
        await asyncio.wait({exited, doubted}, timeout=self._timeouts.heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
        doubted.cancel()
        self._check_requested.clear()

    async def _survives_canary(self, client: VllmClient) -> bool:
        """Whether the engine answers one token, or any other request got a token meanwhile."""
        before = self._progress_at
        try:
            await client.generate(_canary(self._timeouts.canary_s))
        except (EngineRefused, EngineOverloaded):
            pass  # a rejection is an answer too
        except EngineError:
            return self._progress_at > before
        self._progress_at = _now()
        return True

    def _stop_accepting(self, reason: str) -> None:
        """Rejects new requests from now on, with this reason."""
        if self._client is not None:
            self._client, self._reason = None, reason

    async def _set_state(self, reason: str, *, ongoing: bool = False) -> None:
        """Changes what ``health`` reports, and wakes ``wait_until_ready``."""
        self._reason, self._phase = reason, None
        self._phase_since = _now() if ongoing else None
        async with self._state_changed:
            self._state_changed.notify_all()

    def _describe_state(self) -> str:
        """The reason, with the duration of the current phase in seconds."""
        return self._reason if self._phase_since is None else f"{self._reason} ({_now() - self._phase_since:.0f} s)"

    def _unavailable(self) -> EngineUnavailable:
        return EngineUnavailable(self._describe_state(), self._retry_after_s)


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
    """A directory that is short enough for a Unix socket below it; None for the default temporary one."""
    room = MAX_SOCKET_PATH - len("/vqc-engine-12345678/engine.sock")
    return None if len(tempfile.gettempdir()) <= room else "/tmp"


def _message(error: Exception) -> str:
    return error.reason if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"


def _now() -> float:
    return asyncio.get_running_loop().time()
