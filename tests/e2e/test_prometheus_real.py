"""What is seen of API, worker and the real vLLM: a value in every panel and alert under a mixed load, one trace of a ticket."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import asdict

import httpx
import pytest
from PIL import Image as Pillow

from registry import open_registry
from scenes.scene import draw_scene
from service.platform.redis_server import embedded_redis
from tests.support import photos
from tests.support.bare_model import checkpoint
from tests.support.managed_engines import flag
from tests.support.ports import free_port
from tests.support.prometheus import ROOT, Prometheus, alerts, empty, panels, values_of
from tests.support.service_processes import on_a_port, processes, ready
from tests.support.stage_b_bench import GOOD

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

MISSIONS = ("挡风板安装检查", "BBU接地线检查")
VLLM = ROOT / "tests/unit/deploy/vllm_metrics.txt"
BOARDS = ("vqc-service", "vqc-stage-b", "vqc-queue", "vqc-engine", "vqc-models")


def jpeg(seed: int) -> bytes:
    return photos.encoded(draw_scene(seed, size_wh=(256, 192)).image, "JPEG", quality=85)


def transparent(seed: int) -> bytes:
    """A photo that has to be converted."""
    return photos.encoded(Pillow.new("RGBA", (256, 192), (seed % 256, 80, 90, 128)), "PNG")


class Load:
    """Every kind of request, over and over, until told to stop."""

    def __init__(self, client: httpx.AsyncClient, seed: int) -> None:
        self._client = client
        self._random = random.Random(seed)
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    async def run(self) -> None:
        while not self._stopped:
            for kind in (self.caption, self.stream, self.converted, self.junk, self.lines, self.ticket):
                (await kind()).read()

    @property
    def _photo(self) -> bytes:
        return jpeg(self._random.randrange(6))  # some are seen again

    async def caption(self) -> httpx.Response:
        return await self._client.post("/caption?max_new_tokens=60", files={"photo": ("a.jpg", self._photo)})

    async def stream(self) -> httpx.Response:
        headers = {"Accept": "text/event-stream"}
        files = {"photo": ("a.jpg", self._photo)}
        return await self._client.post("/caption?max_new_tokens=200", files=files, headers=headers)

    async def converted(self) -> httpx.Response:
        return await self._client.post(
            "/caption?max_new_tokens=40", files={"photo": ("a.png", transparent(self._random.randrange(999)))}
        )

    async def junk(self) -> httpx.Response:
        return await self._client.post("/caption", files={"photo": ("a.jpg", b"no photo")})

    async def lines(self) -> httpx.Response:
        files = [("photos", ("a.jpg", self._photo))]
        data = {"mission": self._random.choice(MISSIONS)}
        return await self._client.post("/stage-a?max_new_tokens=60", data=data, files=files)

    async def ticket(self) -> httpx.Response:
        body = {
            "mission": self._random.choice(MISSIONS),
            "photos": [{"summary": GOOD}],
            "webhook": "https://hooks.invalid/told",
        }
        pictured = {"mission": body["mission"]}
        files = [("photos", ("a.jpg", self._photo))]
        await self._client.post("/stage-b/groups", data=pictured, files=files)
        return await self._client.post("/stage-b/groups", json=body)


async def reviewed(client: httpx.AsyncClient) -> int:
    """How many released and held tickets a person has now decided otherwise, and as the machine did."""
    done = 0
    for state in ("decided", "needs_review"):
        page = (await client.get("/stage-b/groups", params={"state": state, "limit": 5})).json()
        for ticket, verdict in zip(page["groups"], ("通过", "不通过") * 5, strict=False):
            body = {"verdict": verdict, "name": "inspector", "note": "audit"}
            await client.post(f"/stage-b/groups/{ticket['id']}/review", json=body)
            done += 1
    return done


async def test_every_panel_and_every_alert_has_a_value(managed_engine, collector, tmp_path):
    (tmp_path / "models").mkdir()
    registry = open_registry(tmp_path / "registry")
    for name in ("one", "two"):
        registry.push(checkpoint(tmp_path / "models" / name, name.encode()), alias=name)
    registry.push(tmp_path / "models" / "one", alias="champion")
    uds, ports = flag(managed_engine, "--uds"), [free_port() for _ in range(3)]
    async with embedded_redis(tmp_path / "redis") as redis:
        shared = {
            "VQC_REDIS_URL": redis,
            "VQC_STATE_DIR": str(tmp_path / "state"),
            "VQC_WEBHOOK_HOSTS": "hooks.invalid",
            "VQC_WEBHOOK_SECRET": "s" * 32,
            "VQC_RELEASE": "always",  # the verdicts are made up; what is released is counted
        }
        real = shared | {
            "VQC_ENGINE_URL": f"unix://{uds}",
            "VQC_MODEL_ALIAS": flag(managed_engine, "--served-model-name"),
            "VQC_TRACES": collector.url,
        }
        swapping = {
            "VQC_ENGINE": "scripted",
            "VQC_REGISTRY": str(tmp_path / "registry"),
            "VQC_MODEL": "champion",
            "VQC_SHADOW": "two",
            "VQC_REGISTRY_POLL_S": "0",
            "VQC_RELEASE": "always",
            "VQC_STATE_DIR": str(tmp_path / "other"),
        }
        commands = {
            "api": real | {"VQC_PORT": str(ports[0])},
            "worker": real | {"VQC_WORKER_PORT": str(ports[1])},
            "up-swapping": swapping | {"VQC_PORT": str(ports[2])},
        }
        api, worker, other = (httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) for port in ports)
        async with api, worker, other, processes(tmp_path, commands), on_a_port(uds) as engine:
            await ready(api, worker, other)
            targets = {
                "api": [f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[2]}"],
                "worker": [f"127.0.0.1:{ports[1]}"],
                "engine": [engine],
            }
            with Prometheus(tmp_path, targets) as prometheus:
                await prometheus.up()
                loads = [Load(api, seed) for seed in (1, 2)] + [Load(other, 3)]
                running = [asyncio.ensure_future(load.run()) for load in loads]
                async with asyncio.timeout(120):
                    while not prometheus.query('sum(vqc_groups_finished_total{state="decided",verdict="pass"}) > 3'):
                        await asyncio.sleep(0.5)
                registry.move("champion", "two", expected=registry.resolve("champion"))
                assert (await other.post("/models/champion/reload")).status_code == 200
                assert await reviewed(other) + await reviewed(api) > 3
                queries = [(board, *query) for board in BOARDS for query in panels(board)]
                queries += [
                    ("alert", name, value)
                    for name, alert in alerts().items()
                    for value in values_of(alert)
                    if name != "VqcTrainingSilent"  # tests/integration/test_trainer_smoke.py has the run for it
                ]
                lacking: list[object] = []
                try:
                    async with asyncio.timeout(120):
                        while lacking := empty(prometheus, [(f"{b}: {title}", e) for b, title, e in queries]):
                            await asyncio.sleep(2)
                except TimeoutError:
                    pass  # said below
                finally:
                    for load in loads:
                        load.stop()
                    await asyncio.gather(*running)
                assert lacking == []
                traces = {labels["trace_id"] for labels in prometheus.exemplars("vqc_http_request_seconds_bucket")}
                assert traces & {span.trace_id for span in collector.spans}, "no slow dot leads to its trace"
                names = {series["__name__"] for series, _ in prometheus.query('{job="engine",__name__=~"vllm:.+"}')}
    assert set(VLLM.read_text("utf-8").split()) == names, "rewrite it with what vLLM has now"


TRACE = "0af7651916cd43dd8448eb211c80319c"
KEPT = ROOT / "output/trace-of-a-ticket.jsonl"
"""The last trace, for ``tools.trace_picture``."""


async def test_one_trace_from_the_request_to_vllm(managed_engine, collector, tmp_path):
    ports = [free_port(), free_port()]
    async with embedded_redis(tmp_path / "redis") as redis:
        settings = {
            "VQC_ENGINE_URL": f"unix://{flag(managed_engine, '--uds')}",
            "VQC_MODEL_ALIAS": flag(managed_engine, "--served-model-name"),
            "VQC_REDIS_URL": redis,
            "VQC_STATE_DIR": str(tmp_path / "state"),
            "VQC_TRACES": collector.url,
        }
        commands = {
            "api": settings | {"VQC_PORT": str(ports[0])},
            "worker": settings | {"VQC_WORKER_PORT": str(ports[1])},
        }
        api, worker = (httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) for port in ports)
        async with api, worker, processes(tmp_path, commands):
            await ready(api, worker)
            files = [("photos", (f"{n}.jpg", jpeg(n))) for n in range(3)]
            caller = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
            await api.post("/stage-b/groups", data={"mission": MISSIONS[0]}, files=files, headers=caller)
            async with asyncio.timeout(120):
                while not {"POST /stage-b/groups", "stage-b"} <= {span.name for span in collector.trace(TRACE)}:
                    await asyncio.sleep(0.2)
    async with asyncio.timeout(120):  # vLLM sends what it has every five seconds
        while True:
            by_id = {span.span_id: span for span in collector.trace(TRACE)}
            asked = {span.span_id for span in by_id.values() if span.name == "engine"}
            answered = [span for span in by_id.values() if span.service == "vqc-engine"]
            if asked and asked <= {span.parent_id for span in answered}:
                break
            await asyncio.sleep(0.2)
    span, lineage = answered[-1], [answered[-1].service]
    while (parent := by_id.get(span.parent_id)) is not None:
        span = parent
        lineage.append(f"{span.service} {span.name}")
    assert lineage[:4] == ["vqc-engine", "vqc-worker engine", "vqc-worker stage-b", "vqc-worker judge"]
    assert lineage[-1] == "vqc-api POST /stage-b/groups"
    assert len(asked) >= 4  # a line for each photo, then at least one wave
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text("".join(json.dumps(asdict(one)) + "\n" for one in collector.trace(TRACE)), "utf-8")
