"""Every alert provoked once on running processes and seen firing by a real Prometheus.

The rules are ours word for word, windows and limits included; only ``for`` (how long it must have been so) is left out, and
Prometheus looks every second. What no test can wait for is told instead: tickets that are hours old are put into the store
as such, a slow and a restarting engine speak through the real metrics classes, and the two drift alerts, which compare
hours with a week, find a day of history that promtool has written.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from uuid import uuid4

import httpx
from prometheus_client import start_http_server

from engine.protocol import Health
from engine.scripted import ScriptedEngine
from registry import open_registry
from service.app.metrics import Metrics
from service.judging.sampler import EvidenceKind
from service.platform.admission import AdmissionControl
from service.platform.redis_client import connect
from service.platform.redis_server import embedded_redis
from service.tickets import queue
from service.tickets.redis_store import RedisTicketStore
from service.tickets.store import Event
from service.tickets.ticket import State, Ticket, TicketPhoto, id_at
from tests.support.bare_model import checkpoint
from tests.support.fake_vllm import FakeVllm
from tests.support.photos import jpeg
from tests.support.ports import free_port
from tests.support.prometheus import Prometheus, alerts, promtool
from tests.support.service_processes import on_a_port, processes, ready
from tests.support.stage_b_bench import GOOD, MISSION
from trainer import prometheus_exporter
from vqc.grammar import VERDICT_GRAMMAR

PHOTO = {"photo": ("a.jpg", jpeg())}
ALWAYS = {"VqcModelsDisagree", "VqcTrainingSilent", "VqcVoteShareDrift", "VqcVocabularyDrift", "VqcReleaseStopped"}
"""What is wrong from the first look on: processes of two versions, a silent run, a history with a break in it."""


def history(folder: Path) -> None:
    """A day of counters whose proportions change six hours before its end, in Prometheus' own store."""
    now, lines = int(time()), []
    counters = {
        "vqc_group_vote_share_sum": (0.95, 0.5),
        "vqc_group_vote_share_count": (1.0, 1.0),
        'vqc_summary_items_total{known="true"}': (0.95, 0.4),
        'vqc_summary_items_total{known="false"}': (0.05, 0.6),
        'vqc_group_passes_total{mission="m",outcome="released"}': (1.0, 0.0),
        'vqc_group_passes_total{mission="m",outcome="not_calibrated"}': (0.0, 1.0),
    }
    for name, (before, after) in counters.items():
        for minute in range(0, 24 * 60, 5):
            value = before * min(minute, 18 * 60) + after * max(0, minute - 18 * 60)
            lines.append(f"{name} {value} {now - 24 * 3600 + minute * 60}")
    text = folder / "history.txt"
    text.write_text("\n".join([*lines, "# EOF"]) + "\n")
    promtool("tsdb", "create-blocks-from", "openmetrics", text, folder / "tsdb")


def old(hours: float, state: State, **fields: object) -> Ticket:
    moment = datetime.now(UTC) - timedelta(hours=hours)
    photo = TicketPhoto(image_id="image_1", summary=GOOD, given=True)
    given = {"mission": MISSION.name, "evidence": EvidenceKind.SUMMARIES, "photos": (photo,)} | fields
    return Ticket(id=id_at(moment, uuid4().hex[:20]), accepted_at=moment, state=state, **given)  # type: ignore[arg-type]


class Watch:
    """Waits for alerts and remembers which were seen."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self.seen: set[str] = set()

    async def until(self, *names: str, seconds: float = 120) -> None:
        """Returns when all of them fire at once."""
        try:
            async with asyncio.timeout(seconds):
                while not set(names) <= (firing := self._prometheus.firing()):
                    self.seen |= firing
                    await asyncio.sleep(0.3)
        except TimeoutError:
            raise AssertionError(f"{set(names) - self._prometheus.firing()} do not fire") from None
        self.seen |= {*names}


async def test_every_alert_fires_on_its_trouble(tmp_path):
    history(tmp_path)
    silent = tmp_path / "runs/demo" / prometheus_exporter.LOG_NAME
    silent.parent.mkdir(parents=True)
    silent.write_text('{"step": 1}\n')
    os.utime(silent, (time() - 4000,) * 2)
    registry = open_registry(tmp_path / "registry")
    for name, contract in (("good", None), ("foreign", {"prompts": "0" * 64})):
        registry.push(checkpoint(tmp_path / "models" / name, name.encode(), contract), alias=name)
    registry.move("champion", "good", expected=None)

    fake, uds = FakeVllm(ScriptedEngine(lambda request, index: "")), tmp_path / "engine.sock"
    metrics = Metrics(AdmissionControl(1))
    told_server, _ = start_http_server(0, "127.0.0.1", metrics.registry)
    training, training_port = prometheus_exporter.serve(tmp_path / "runs", "127.0.0.1", 0)
    ports = [free_port() for _ in range(3)]
    async with AsyncExitStack() as stack:
        redis_up = await stack.enter_async_context(AsyncExitStack())
        url = await redis_up.enter_async_context(embedded_redis(tmp_path / "redis"))
        await fake.start(uds)
        engine = await stack.enter_async_context(on_a_port(str(uds)))
        shared = {
            "VQC_ENGINE_URL": f"unix://{uds}",
            "VQC_MODEL_ALIAS": "champion",
            "VQC_MODEL_DIGEST": "another",
            "VQC_REDIS_URL": url,
            "VQC_STATE_DIR": str(tmp_path / "state"),
            "VQC_RELEASE": "rules",
            "VQC_STAGE_B_LEASE_S": "1",
            "VQC_WEBHOOK_HOSTS": "hooks.invalid",
            "VQC_WEBHOOK_SECRET": "s" * 32,
        }
        other = {
            "VQC_ENGINE": "scripted",
            "VQC_STAGE_B": "off",
            "VQC_REGISTRY": str(tmp_path / "registry"),
            "VQC_MODEL": "champion",
            "VQC_REGISTRY_POLL_S": "0",
            "VQC_PORT": str(ports[2]),
        }
        commands = {"api": shared | {"VQC_PORT": str(ports[0]), "VQC_MAX_IN_FLIGHT": "1"}, "api-other": other}
        await stack.enter_async_context(processes(tmp_path, commands))
        api, swapping = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60))
            for port in (ports[0], ports[2])
        ]
        await ready(api, swapping)
        targets = {
            "api": [f"127.0.0.1:{port}" for port in (ports[0], ports[2], told_server.server_port)],
            "worker": [f"127.0.0.1:{ports[1]}"],
            "engine": [engine],
            "training": [f"127.0.0.1:{training_port}"],
        }
        prometheus = stack.enter_context(Prometheus(tmp_path, targets, overrides={"for": "0s"}))
        await prometheus.ready()
        watch = Watch(prometheus)
        redis = await stack.enter_async_context(connect(url))
        store = RedisTicketStore(redis)

        # Nobody works: what is submitted stays on the queue.
        ticket = {"mission": MISSION.name, "photos": [{"summary": GOOD}]}
        told_hook = ticket | {"webhook": "https://hooks.invalid/told"}
        assert (await api.post("/stage-b/groups", json=told_hook)).status_code == 202
        for waiting in [old(1, State.QUEUED) for _ in range(4)] + [old(5, State.NEEDS_REVIEW)]:
            await store.create(waiting, Event(name="accepted"), None)
        await watch.until("VqcQueueStuck", "VqcQueueOld", "VqcReviewBacklog", "VqcTargetDown", *ALWAYS)

        # A worker, and a model that writes what is no answer.
        await stack.enter_async_context(processes(tmp_path, {"worker": shared | {"VQC_WORKER_PORT": str(ports[1])}}))
        async with asyncio.timeout(120):
            while not prometheus.query('up{job="worker"} == 1'):
                await asyncio.sleep(0.2)
        # What waited may have been judged before Prometheus looked for the first time.
        for waiting in [old(1, State.QUEUED, mission="no such mission")] + [old(1, State.QUEUED) for _ in range(4)]:
            await store.create(waiting, Event(name="accepted"), None)
        assert (await api.post("/stage-b/groups", json=told_hook)).status_code == 202
        await api.post("/stage-a", data={"mission": MISSION.name}, files={"photos": PHOTO["photo"]})
        await watch.until(
            "VqcAnswersMalformed", "VqcAbstention", "VqcTicketsSlow", "VqcDeadLetters", "VqcWebhooksFailing"
        )
        assert "VqcQueueStuck" not in prometheus.firing()

        # It says 通过, which is released; a person says otherwise.
        fake.engine = ScriptedEngine(
            lambda request, index: "通过\n理由: 挡风板安装方向正确" if request.grammar == VERDICT_GRAMMAR else GOOD
        )
        location = (await api.post("/stage-b/groups", json=ticket)).headers["Location"]
        async with asyncio.timeout(120):
            while (await api.get(location)).json()["state"] != "decided":
                await asyncio.sleep(0.1)
        review = {"verdict": "不通过", "name": "inspector", "note": "no shield"}
        assert (await api.post(f"{location}/review", json=review)).status_code == 200
        await watch.until("VqcFalseReleases")

        # Somebody writes to the queue's stream, and lets Redis delete what it holds.
        await redis.xadd(f"{queue.NAME}:stream", {"hello": "world"})
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        await watch.until("VqcUnreadable", "VqcRedisUnsafe")
        await redis.config_set("maxmemory-policy", "noeviction")

        # More than is admitted; then an engine that holds what it has and writes nothing.
        fake.engine = ScriptedEngine(latency_s=600)
        stuck = asyncio.ensure_future(api.post("/caption", files=PHOTO))
        await asyncio.gather(*(api.post("/caption", files=PHOTO) for _ in range(20)))
        await watch.until("VqcOverloaded", "VqcEngineStuck")

        # A version of another contract; an engine that is restarted and slow, told by the metrics themselves.
        registry.move("champion", "foreign", expected=registry.resolve("good"))
        assert (await swapping.post("/models/champion/reload")).status_code == 502
        for restarts in range(4):
            metrics.page(Health(ready=True, reason="ready", restarts=restarts), "")
            for _ in range(50):
                metrics.http.record_request("/caption", "POST", 200, 30.0)
            await asyncio.sleep(1.5)
        slow = ("VqcCaptionsSlowFast", "VqcCaptionsSlowSlow")
        await watch.until("VqcSwapFailed", "VqcEngineRestarting", *slow)

        # The engine is killed, and with it every answer; then Redis.
        await fake.stop()
        await asyncio.gather(stuck, return_exceptions=True)
        for _ in range(40):
            await api.post("/caption", files=PHOTO)
        await watch.until("VqcEngineDown", "VqcErrorBudgetFast", "VqcErrorBudgetSlow")
        await redis_up.aclose()
        await watch.until("VqcQueueDown")
    told_server.shutdown()
    told_server.server_close()
    training.shutdown()
    training.server_close()
    assert watch.seen >= set(alerts())
