"""Starts what a load is sent to: our service, or a vLLM of its own, on a model or on the scripted engine."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from engine.client import VllmClient
from engine.process import EngineProcess
from engine.profile import EngineSettings, vllm_command, vllm_environment
from loadtest.errors import BenchFailed
from loadtest.http.requests import Target
from loadtest.process_usage import Usage, tree_usage
from loadtest.targets.api import running_api, tail

START_TIMEOUT_S = 900.0
MANY = 4096
"""More requests at once than any load here has in flight, so that none is turned away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that takes load, and its process, if that is known."""

    target: Target
    pid: int | None = None
    check_alive: Callable[[], object] = lambda: None

    def usage(self) -> Usage | None:
        """What its process tree has used."""
        return None if self.pid is None else tree_usage(self.pid)


def in_front_of(engine: Served, model: str) -> dict[str, str]:
    """The settings with which our service asks a running engine that serves ``model``."""
    url = f"unix://{engine.target.uds}"
    return {"VQC_ENGINE": "external", "VQC_ENGINE_URL": url, "VQC_MODEL_ALIAS": model}


@asynccontextmanager
async def our_service(settings: Mapping[str, str], *, tickets: bool) -> AsyncGenerator[Served, None]:
    """Our service as ``settings`` say (by default on the scripted engine), with Redis and a worker for ``tickets``.

    Raises:
        BenchFailed: it does not get ready.
    """
    with tempfile.TemporaryDirectory(prefix="vqc-bench-state-") as folder:
        state = {"VQC_STATE_DIR": folder, "VQC_ENGINE_LOG": f"{folder}/engine.log", "VQC_STAGE_B": "off"}
        if tickets:
            state["VQC_STAGE_B"] = "on"
        command = "up" if tickets else "api"
        async with running_api(MANY, state | dict(settings), ready_timeout_s=START_TIMEOUT_S, command=command) as api:
            yield Served(target=api.target, pid=api.process.pid, check_alive=api.check_alive)


@asynccontextmanager
async def raw_engine(
    settings: EngineSettings,
    *,
    as_it_comes: bool = False,
    log_path: Path | None = None,
    start_timeout_s: float = START_TIMEOUT_S,
) -> AsyncGenerator[Served, None]:
    """A vLLM on a Unix socket, with the flags of our hardware profile, or with none but what it needs to run at all.

    Its output is kept in ``log_path``, if that is given.

    Raises:
        BenchFailed: it does not get ready; the message has the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="vqc-bench-", dir="/tmp") as folder:
        uds, log = Path(folder, "engine.sock"), log_path or Path(folder, "engine.log")
        process = await EngineProcess.start(
            plain_command(settings, uds) if as_it_comes else vllm_command(settings, uds),
            environment={**vllm_environment(settings), "TMPDIR": folder},
            cwd=Path.cwd(),
            log_path=log,
        )

        def check_alive() -> None:
            if process.exit_reason:
                raise BenchFailed(f"vLLM {process.exit_reason}; its log ends:\n{tail(log)}")

        client = VllmClient(uds, settings.served_name)
        try:
            began = perf_counter()
            while not (await client.health()).ready:
                check_alive()
                if perf_counter() - began > start_timeout_s:
                    raise BenchFailed(f"vLLM is not ready after {start_timeout_s:g} s; its log ends:\n{tail(log)}")
                await asyncio.sleep(0.5)
            target = Target(host="localhost", port=80, uds=str(uds))
            yield Served(target=target, pid=process.pid, check_alive=check_alive)
        finally:
            await client.aclose()
            await process.stop(10.0)


def plain_command(settings: EngineSettings, uds: Path) -> list[str]:
    """``vllm serve`` as it comes: one API process, vLLM's own defaults; ``extra_args`` are the bench's (dummy weights)."""
    ours = vllm_command(settings, uds)
    head = ours[: ours.index(str(settings.model.absolute())) + 1]
    needed = [
        "--served-model-name",
        settings.served_name,
        "--uds",
        str(uds),
        "--max-model-len",
        str(settings.max_model_len),
    ]
    return [*head, *needed, *settings.extra_args]
