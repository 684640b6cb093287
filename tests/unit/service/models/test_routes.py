"""GET /models and POST /models/{alias}/reload, and the model that captions name meanwhile."""

from __future__ import annotations

import asyncio
import json

import pytest

from engine.scripted import ScriptedEngine
from service.platform.shares import Role, Share
from service.web.auth import ApiKey, Scope
from service.web.key_file import create_key, read_keys
from tests.support import photos
from tests.support.model_fleet import Fleet, until
from tests.support.service_context import client_of, context_with

PHOTO = {"photo": ("a.jpg", photos.jpeg((320, 248)))}

pytestmark = pytest.mark.usefixtures("impatient")


class CaptionFleet(Fleet):
    """Engines that write captions, slowly."""

    async def launch(self, checkpoint):
        engine = await super().launch(checkpoint)
        engine._script = ScriptedEngine()._script
        engine._latency_s = 0.005
        return engine


def context_of(fleet: Fleet, **options):
    return context_with(None, models=fleet.router, swaps=fleet.swaps, **options)


async def test_captions_name_their_model_during_a_swap():
    async with CaptionFleet() as fleet, client_of(context_of(fleet)) as client:
        seen, over = [], False

        async def load(accept: str) -> None:
            while not over:
                answer = await client.post("/caption", files=PHOTO, headers={"Accept": accept})
                assert answer.status_code == 200
                body = answer.text.rpartition("data: ")[2] if "event-stream" in accept else answer.text
                model = json.loads(body)["model"]
                assert answer.headers["x-vqc-model"] == f"{model['alias']}@{model['digest']}"
                seen.append(model["digest"])

        async with asyncio.TaskGroup() as group:
            for accept in ("application/json", "text/event-stream"):
                group.create_task(load(accept))
            for digest in ("v2", "v1"):
                before = len(seen)
                fleet.registry.aliases["champion"] = digest
                answer = await client.post("/models/champion/reload")
                assert (answer.status_code, answer.json()["outcome"], answer.json()["digest"]) == (
                    200,
                    "swapped",
                    digest,
                )
                after = len(seen)
                await until(lambda after=after: len(seen) >= after + 6)
                assert set(seen[after + 2 :]) == {digest}, (before, seen)
            over = True
        assert set(seen) == {"v1", "v2"}


async def test_stage_a_photos_of_one_request_have_one_model():
    async with CaptionFleet() as fleet, client_of(context_of(fleet)) as client:
        files = [("photos", (f"{n}.jpg", PHOTO["photo"][1])) for n in range(8)]
        request = asyncio.create_task(client.post("/stage-a", data={"mission": "挡风板安装检查"}, files=files))
        await until(lambda: fleet.router.active(Role.MAIN).in_flight.count == 1)
        fleet.registry.aliases["champion"] = "v2"
        await client.post("/models/champion/reload")
        answer = await request
        assert answer.json()["model"]["digest"] == "v1"
        assert (fleet.engine("v1").answered, fleet.engine("v2").answered) == (8, 0)


async def test_models_are_listed_with_the_phase_of_their_start():
    async with Fleet() as fleet, client_of(context_of(fleet)) as client:
        async with fleet.router.pin("ticket"):
            fleet.registry.aliases["champion"] = "v2"
            reload = asyncio.create_task(fleet.swaps.reload("champion"))
            await until(lambda: fleet.swaps.stopping)
            body = (await client.get("/models")).json()
            assert [(m["role"], m["digest"], m["pinned"]) for m in body["models"]] == [
                ("main", "v2", 0),
                ("draining", "v1", 1),
            ]
            assert "v1 finishes 1 requests" in body["swapping"]
        await reload
        body = (await client.get("/models")).json()
        assert body["swapping"] is None
        assert (body["last_swap"]["before"], body["last_swap"]["digest"]) == ("v1", "v2")


async def test_a_failed_reload_reports_why():
    async with Fleet() as fleet, client_of(context_of(fleet)) as client:
        fleet.broken["v2"] = "out of memory"
        fleet.registry.aliases["champion"] = "v2"
        failed = await client.post("/models/champion/reload")
        assert (failed.status_code, failed.json()["type"]) == (502, "urn:vqc:problem:swap-failed")
        assert failed.json()["detail"].endswith("out of memory; active: v1")
        assert (await client.get("/models")).json()["last_failure"] == failed.json()["detail"]
        unknown = await client.post("/models/nobody/reload")
        assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:vqc:problem:unknown-model")
        fleet.broken.clear()
        fleet.options["polls"] = 10**9
        running = asyncio.create_task(client.post("/models/champion/reload"))
        await until(lambda: len(fleet.engines) == 3)
        busy = await client.post("/models/champion/reload")
        assert (busy.status_code, busy.json()["type"]) == (409, "urn:vqc:problem:swap-running")
        assert int(busy.headers["retry-after"]) >= 1
        assert "loading weights" in busy.json()["detail"]
        running.cancel()


async def test_during_drain_and_restart_readyz_is_503_and_captions_wait():
    async with CaptionFleet(room=False) as fleet, client_of(context_of(fleet)) as client:
        fleet.registry.aliases["champion"] = "v2"
        async with fleet.router.pin("ticket"):
            reload = asyncio.create_task(client.post("/models/champion/reload"))
            await until(lambda: fleet.router.active(Role.MAIN) is None)
            ready = await client.get("/readyz")
            assert ready.status_code == 503
            assert "replacing 'champion'" in ready.json()["reasons"][0]
            waiting = asyncio.create_task(client.post("/caption", files=PHOTO))
        assert (await reload).json()["mode"] == "drain"
        assert (await waiting).json()["model"]["digest"] == "v2"


async def test_a_fixed_model_is_listed_and_not_replaced(client):
    assert [m["alias"] for m in (await client.get("/models")).json()["models"]] == ["champion"]
    answer = await client.post("/models/champion/reload")
    assert answer.status_code == 502
    assert "does not run the model's engine" in answer.json()["detail"]


async def test_reload_needs_the_admin_scope(tmp_path):
    keys = tmp_path / "keys.yaml"
    caption, admin = [create_key(keys, [scope], None) for scope in (Scope.CAPTION, Scope.ADMIN)]
    known: list[ApiKey] = read_keys(keys)
    async with Fleet() as fleet, client_of(context_of(fleet, keys=known)) as client:
        for token, status in ((caption, 403), (admin, 200)):
            headers = {"Authorization": f"Bearer {token}"}
            assert (await client.post("/models/champion/reload", headers=headers)).status_code == status
        assert (await client.get("/models")).status_code == 401


async def test_metrics_have_models_swaps_and_double_memory():
    context = context_with(ScriptedEngine())
    context.metrics.models.record_swap("swapped", 3.0, 2.5)
    context.metrics.models.record_pin(Role.CANARY)
    async with client_of(context) as client:
        page = (await client.get("/metrics")).text
    for line in (
        'vqc_model_swaps_total{outcome="swapped"} 1.0',
        "vqc_model_double_memory_seconds_total 2.5",
        'vqc_model_requests_total{role="canary"} 1.0',
    ):
        assert line in page


def test_a_share_is_a_part_of_the_requests():
    share = Share(alias="candidate", part=0.1)
    taken = sum(share.takes(Role.CANARY, str(n)) for n in range(5000))
    assert 300 < taken < 700
