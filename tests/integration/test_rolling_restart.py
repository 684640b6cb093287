"""API, worker and engine are each replaced under load, as Kubernetes would replace their pods: no request fails.

The engines are stand-ins for vLLM that drain as vLLM does; everything else is real, Redis included.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import httpx

from service.platform.redis_server import embedded_redis
from tests.support.cluster import Pod, Service, own_environment, python, roll, started
from tests.support.photos import jpeg
from tests.support.ports import free_port
from tests.support.stage_b_bench import GOOD

MISSION = "挡风板安装检查"
PHOTO = {"photo": ("site.jpg", jpeg(), "image/jpeg")}


class Load:
    """Callers that go on until told to stop; ``failures`` are answers and connections that should not have been."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=60)
        self._stop = asyncio.Event()
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        self.tickets: list[str] = []

    async def run(self) -> None:
        """Four callers of captions, one that streams, one that submits tickets."""
        async with self._client:
            streams = {"Accept": "text/event-stream"}
            await asyncio.gather(
                *(self._repeat("caption", self._caption) for _ in range(4)),
                self._repeat("stream", lambda: self._caption(streams)),
                self._repeat("ticket", self._submit),
            )

    def stop(self) -> None:
        self._stop.set()

    async def progress(self, kinds: int = 1) -> None:
        """Returns after each caller has been answered ``kinds`` more times."""
        before = self.answered.copy()
        async with asyncio.timeout(120):
            while any(self.answered[kind] < before[kind] + kinds for kind in ("caption", "stream", "ticket")):
                await asyncio.sleep(0.05)

    async def _repeat(self, kind: str, call) -> None:
        while not self._stop.is_set():
            try:
                await call()
                self.answered[kind] += 1
            except (httpx.HTTPError, AssertionError) as error:
                self.failures.append(f"{kind}: {error!r}")
            await asyncio.sleep(0.02)

    async def _caption(self, headers: dict[str, str] | None = None) -> None:
        answer = await self._client.post("/caption", files=PHOTO, headers=headers or {})
        assert answer.status_code == 200, answer.text
        assert not headers or "event: done" in answer.text, answer.text

    async def _submit(self) -> None:
        ticket = {"mission": MISSION, "photos": [{"summary": GOOD}, {"summary": "无关图片"}]}
        answer = await self._client.post("/stage-b/groups", json=ticket)
        assert answer.status_code == 202, answer.text
        self.tickets.append(answer.headers["Location"])


async def test_replacing_every_process_under_load_fails_no_request(tmp_path: Path) -> None:
    numbers = count()
    front, engines_in = Service(), Service()
    async with asyncio.timeout(240), AsyncExitStack() as stack:
        redis = await stack.enter_async_context(embedded_redis(tmp_path / "redis"))
        await stack.enter_async_context(front.listening())
        await stack.enter_async_context(engines_in.listening())
        everything: list[Pod] = []
        stack.push_async_callback(killed, everything)
        environment = own_environment(
            VQC_ENGINE_URL=f"http://127.0.0.1:{engines_in.port}",
            VQC_REDIS_URL=redis,
            VQC_STATE_DIR=str(tmp_path / "state"),
            VQC_LOG_LEVEL="warning",
            VQC_DRAIN_DELAY_S="1",
        )

        def engine(_: int) -> Pod:
            name = f"engine{next(numbers)}"
            socket_path = tmp_path / f"{name}.sock"
            command = python("tests/support/fake_vllm.py", "--uds", str(socket_path), "--drain")
            return kept(name, command, socket_path, None, pause_s=0.5)

        def api(_: int) -> Pod:
            port = free_port()
            command = python("-m", "service.cli", "api", "--port", str(port))
            return kept(f"api{next(numbers)}", command, ("127.0.0.1", port), f"http://127.0.0.1:{port}/readyz/captions")

        def worker(_: int) -> Pod:
            port = free_port()
            command = python("-m", "service.cli", "worker")
            ready = f"http://127.0.0.1:{port}/readyz"
            return kept(f"worker{next(numbers)}", command, ("127.0.0.1", port), ready, VQC_WORKER_PORT=str(port))

        def kept(name: str, command, address, probe, pause_s: float = 0.0, **further: str) -> Pod:
            log = tmp_path / f"{name}.log"
            pod = Pod(
                command=command,
                environment=environment | further,
                address=address,
                probe=probe,
                log=log,
                pause_s=pause_s,
            )
            everything.append(pod)
            return pod

        engines_in.pods = engines = [engine(0), engine(1)]
        await started(engines)
        apis, workers = [api(0), api(1)], [worker(0), worker(1)]
        await started([*apis, *workers])
        front.pods = list(apis)
        engines_in.pods = list(engines)

        load = Load(f"http://127.0.0.1:{front.port}")
        await front.has(apis[0])
        running = asyncio.ensure_future(load.run())
        await load.progress()
        new_engines = await roll(engines, engine, engines_in)
        await load.progress()
        new_apis = await roll(apis, api, front)
        await load.progress()
        new_workers = await roll(workers, worker)
        await load.progress()
        load.stop()
        await running

        assert load.failures == []
        assert min(load.answered.values()) >= 4
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{front.port}", timeout=60) as client:
            states = Counter([await final(client, location) for location in load.tickets])
        assert set(states) <= {"decided", "needs_review"}, states
        assert len(load.tickets) == sum(states.values())
        for pod in (*new_engines, *new_apis, *new_workers):
            assert pod.process is not None
            assert pod.process.returncode is None  # who is in force now is none of those that were there at first


async def final(client: httpx.AsyncClient, location: str) -> str:
    while not (ticket := (await client.get(location)).raise_for_status().json())["finished_at"]:
        await asyncio.sleep(0.1)
    return ticket["state"]


async def killed(pods: list[Pod]) -> None:
    for pod in pods:
        await pod.kill()
