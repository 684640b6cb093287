"""The commands that docs/operations.md gives for backup and restore, run as they stand there."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from service.platform.redis_server import redis_binary
from tests.support.cluster import ROOT, Pod, own_environment, python
from tests.support.photos import jpeg
from tests.support.ports import free_port
from tests.support.redis_servers import binary_of

PAGE = (ROOT / "docs" / "operations.md").read_text()
MISSION = "挡风板安装检查"


def commands(name: str) -> str:
    [block] = re.findall(rf"<!-- tested: {name} -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    return block


async def test_after_the_loss_of_every_disk_all_is_as_it_was(tmp_path: Path) -> None:
    binary_of("redis7")  # its package brings redis-cli
    site = Site(tmp_path)
    async with asyncio.timeout(180), AsyncExitStack() as stack:
        stack.push_async_callback(site.end)
        site.register_model()
        redis = await site.redis()
        api, worker = await site.service("api"), await site.service("worker")
        judged, waiting = None, None
        async with httpx.AsyncClient(base_url=site.url, timeout=60) as client:
            judged = await submitted(client, 1)
            record = await final(client, judged)
            await worker.leave()
            waiting = await submitted(client, 2)
            site.shell(commands("backup"))
        await api.leave()
        redis.kill()
        redis.wait()
        for lost in (site.state, site.registry, site.redis_directory):
            shutil.rmtree(lost)

        site.shell(commands("restore"))
        await site.redis()
        await site.service("api")
        async with httpx.AsyncClient(base_url=site.url, timeout=60) as client:
            assert (await client.get(judged)).json() == record
            assert (await client.get(waiting)).json()["state"] == "queued"
            await site.service("worker")
            after = await final(client, waiting)  # which needs its photo and its job
        assert after["state"] in ("decided", "needs_review")


class Site:
    """Directories, addresses and processes of a small installation."""

    def __init__(self, directory: Path) -> None:
        self.state, self.registry = directory / "state", directory / "registry"
        self.redis_directory, self._directory = directory / "redis", directory
        (directory / "backup").mkdir()
        (directory / "bin").mkdir()
        (directory / "bin" / "valkey-server").symlink_to(redis_binary())
        (directory / "bin" / "vqc-registry").symlink_to(Path(sys.executable).parent / "vqc-registry")
        self._redis_port, self._port, self._worker_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._config = directory / "valkey.conf"
        self._config.write_text(
            f"port {self._redis_port}\nbind 127.0.0.1\nrequirepass secret\ndir {self.redis_directory}\n"
            f"appendonly yes\nappendfsync always\nlogfile {directory / 'valkey.log'}\n"
        )
        self._environment = own_environment(
            VQC_ENGINE="scripted",
            VQC_REDIS_URL=f"redis://:secret@127.0.0.1:{self._redis_port}/0",
            VQC_STATE_DIR=str(self.state),
            VQC_REGISTRY=str(self.registry),
            VQC_LOG_LEVEL="warning",
        )
        self._servers: list[subprocess.Popen[bytes]] = []
        self._pods: list[Pod] = []

    def shell(self, script: str) -> None:
        """Runs commands of the page in its variables."""
        further = {
            "BACKUP": str(self._directory / "backup"),
            "REDIS_DIR": str(self.redis_directory),
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self._redis_port),
            "REDISCLI_AUTH": "secret",
            "REDIS_CONFIG": str(self._config),
            "PATH": f"{self._directory / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], env=self._environment | further, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def register_model(self) -> None:
        self.shell(f"vqc-registry push {ROOT / 'deploy' / 'demo' / 'model'} --alias champion")

    async def redis(self) -> subprocess.Popen[bytes]:
        self.redis_directory.mkdir(exist_ok=True)
        server = subprocess.Popen([str(redis_binary()), str(self._config)], stdout=subprocess.DEVNULL)  # noqa: ASYNC220
        self._servers.append(server)
        return server

    async def service(self, name: str) -> Pod:
        """The API or the worker, ready."""
        ports = {"VQC_PORT": str(self._port), "VQC_WORKER_PORT": str(self._worker_port)}
        port = self._port if name == "api" else self._worker_port
        pod = Pod(
            command=python("-m", "service.cli", name),
            environment=self._environment | ports,
            address=("127.0.0.1", port),
            probe=f"http://127.0.0.1:{port}/readyz",
            log=self._directory / f"{name}.log",
        )
        self._pods.append(pod)
        await pod.start()
        return pod

    async def end(self) -> None:
        for pod in self._pods:
            await pod.kill()
        for server in self._servers:
            server.kill()
            server.wait()


async def submitted(client: httpx.AsyncClient, seed: int) -> str:
    photo = ("photos", (f"{seed}.jpg", jpeg((64 + seed, 48)), "image/jpeg"))
    answer = await client.post("/stage-b/groups", data={"mission": MISSION}, files=[photo])
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


async def final(client: httpx.AsyncClient, location: str) -> dict:
    while not (ticket := (await client.get(location)).raise_for_status().json())["finished_at"]:
        await asyncio.sleep(0.1)
    return ticket
