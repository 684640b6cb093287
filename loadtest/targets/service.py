"""Starts our service or a raw vLLM, on a model or on the scripted engine."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

from engine.client import VllmClient
from engine.process import EngineProcess
from engine.profile import EngineSettings, vllm_command, vllm_environment
from loadtest.errors import BenchFailed
from loadtest.http.requests import Target
from loadtest.targets.api import running_api, tail
from loadtest.targets.server import RunningServer

START_TIMEOUT_S = 900.0
MANY = 4096
"""More than any load here has in flight, so that no request is rejected."""


def in_front_of(engine: RunningServer, model: str) -> dict[str, str]:
    """The settings of our service in front of a running engine that serves ``model``."""
    url = f"unix://{engine.target.uds}"
    return {"VQC_ENGINE": "external", "VQC_ENGINE_URL": url, "VQC_MODEL_ALIAS": model}


@asynccontextmanager
async def our_service(settings: Mapping[str, str], *, tickets: bool) -> AsyncGenerator[RunningServer, None]:
    """Our service with ``settings`` (by default on the scripted engine); Redis and a worker too for ``tickets``.

    Raises:
        BenchFailed: it does not become ready.
    """
    with tempfile.TemporaryDirectory(prefix="vqc-bench-state-") as folder:
        state = {"VQC_STATE_DIR": folder, "VQC_ENGINE_LOG": f"{folder}/engine.log", "VQC_STAGE_B": "off"}
        if tickets:
            state["VQC_STAGE_B"] = "on"
        command = "up" if tickets else "api"
        async with running_api(MANY, state | dict(settings), ready_timeout_s=START_TIMEOUT_S, command=command) as api:
            yield api


@asynccontextmanager
async def raw_engine(
    settings: EngineSettings,
    *,
    as_it_comes: bool = False,
    log_path: Path | None = None,
    start_timeout_s: float = START_TIMEOUT_S,
) -> AsyncGenerator[RunningServer, None]:
    """A vLLM on a Unix socket, with the flags of our hardware profile or, ``as_it_comes``, with its own defaults.

    Its output goes to ``log_path``, if there is one.

    Raises:
        BenchFailed: it does not become ready; the message has the end of its log.
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
            yield RunningServer(target=target, pid=process.pid, check_alive=check_alive)
        finally:
            await client.aclose()
            await process.stop(10.0)


def plain_command(settings: EngineSettings, uds: Path) -> list[str]:
    """``vllm serve`` with one API process and its own defaults; ``extra_args`` are the benchmark's (dummy weights)."""
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
