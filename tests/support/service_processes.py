"""The service as a user starts it: processes of their own with a client, and what a test waits for."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.stage_b_bench import GOOD, ROOT

MISSION = "挡风板安装检查"


@asynccontextmanager
async def service(tmp_path, *commands, **environment):
    """A client of the service; the first command listens."""
    port = free_port()
    own = {name: value for name, value in os.environ.items() if not name.startswith("VQC_")}
    given = {"VQC_ENGINE": "scripted", "VQC_STATE_DIR": str(tmp_path / "state"), "VQC_PORT": str(port)} | environment
    processes = []
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for command in commands:
                log = (tmp_path / f"{command}.log").open("w")
                processes.append(
                    await asyncio.create_subprocess_exec(
                        *(sys.executable, "-m", "service.cli", command), cwd=ROOT, env=own | given, stderr=log
                    )
                )
                log.close()
            await answering(client, processes[0])
            yield client, processes
    finally:
        for process in reversed(processes):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await asyncio.wait_for(process.wait(), 120)


async def answering(client: httpx.AsyncClient, process) -> None:
    """Returns when the API answers, ready or not for a reason of its own."""
    async with asyncio.timeout(120):
        while True:
            assert process.returncode is None
            try:
                await client.get("/healthz")
                return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def final(client: httpx.AsyncClient, location: str) -> dict:
    async with asyncio.timeout(120):
        while True:
            record = (await client.get(location)).raise_for_status().json()
            if record["finished_at"]:
                return record
            await asyncio.sleep(0.05)


def ticket(n: int) -> dict:
    return {"mission": MISSION, "ticket_id": f"QC-{n:04}", "photos": [{"summary": GOOD}, {"summary": "无关图片"}]}


@asynccontextmanager
async def processes(folder: Path, commands: dict[str, dict[str, str]]) -> AsyncGenerator[None, None]:
    """Our own processes, each with its settings; a name begins with the command."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("VQC_")}
    started = []
    try:
        for name, settings in commands.items():
            with (folder / f"{name}.log").open("wb") as log:
                command = (sys.executable, "-m", "service.cli", name.split("-")[0])
                env = own | {"PYTHONPATH": str(ROOT)} | settings
                started.append(await asyncio.create_subprocess_exec(*command, env=env, cwd=folder, stderr=log))
        yield
    finally:
        for process in started:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(asyncio.wait_for(process.wait(), 120) for process in started))


@asynccontextmanager
async def on_a_port(uds: str) -> AsyncGenerator[str, None]:
    """The address under which what listens on a Unix socket can be scraped."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(uds)

        async def copied(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(copied(reader, back), copied(there, writer), return_exceptions=True)

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def ready(*clients: httpx.AsyncClient) -> None:
    async with asyncio.timeout(120):
        for client in clients:
            while True:
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
