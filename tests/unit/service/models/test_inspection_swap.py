"""A model brings its inspection: served, promoted and rolled back as one, and no request sees half of a swap."""

from __future__ import annotations

import asyncio
import json

import pytest

from engine.scripted import ScriptedEngine
from registry import open_registry
from registry.gates.promote import rollback
from registry.inspections import inspections_for_push
from service.models.observe import ModelObserver
from service.models.wiring import served_models
from service.platform.settings import read_settings
from tests.support import photos
from tests.support.bare_model import checkpoint
from tests.support.inspections import TOWER_LIGHT, copy_of_default, inspections
from tests.support.model_fleet import until
from tests.support.service_context import client_of, context_with
from vqc.contract import contract_digests, prompt_digest
from vqc.missions import active, mission_named
from vqc.prompts import dense_prompt, stage_a_prompt

pytestmark = pytest.mark.usefixtures("impatient")
MISSION, TOWER, METER = "挡风板安装检查", "塔灯检查", "Wiring"


@pytest.fixture
def versions(tmp_path):
    """A registry with two models, the alias on the first, and what each asks: the digests of its prompts by mission."""
    registry = open_registry(tmp_path / "registry")
    own = copy_of_default(tmp_path / "own", further=TOWER_LIGHT)
    prompts = own / "prompts.yaml"
    prompts.write_text(prompts.read_text("utf-8").replace("任务重点", "任务要点"), "utf-8")
    asked, digests = {}, []
    for name, directory in (("one", "telecom"), ("two", own)):
        with inspections(directory, "meters") as found:
            made = checkpoint(tmp_path / name, name.encode(), contract_digests())
            brought = inspections_for_push(registry, contract_digests(), ())
            digests.append(registry.push(made, inspections=brought).digest)
            asked[digests[-1]] = {of.name: prompt_digest(stage_a_prompt(of)) for of in found.missions.values()}
    assert asked[digests[0]][MISSION] != asked[digests[1]][MISSION]
    registry.move("champion", digests[0], expected=None)
    return registry, digests, asked


def settings(tmp_path):
    return read_settings(
        engine="scripted",
        registry=str(tmp_path / "registry"),
        model_cache=tmp_path / "cache",
        model="champion",
        registry_poll_s=0.01,
    )


async def test_two_inspections_and_a_swap_of_one_lose_no_request(versions, tmp_path):
    registry, (first, second), asked = versions
    with inspections():
        router, swaps = await served_models(settings(tmp_path), ModelObserver())
        seen: dict[str, int] = {}
        over = asyncio.Event()

        async def ask(client, mission: str) -> None:
            while not over.is_set():
                answer = await client.post(
                    "/stage-a", data={"mission": mission}, files=[("photos", ("p", photos.jpeg()))]
                )
                assert answer.status_code == 200, answer.text
                digest = answer.json()["model"]["digest"]
                assert answer.json()["prompt_digest"] == asked[digest][mission]
                assert answer.json()["trained"] is True
                seen[digest] = seen.get(digest, 0) + 1

        try:
            async with (
                client_of(context_with(ScriptedEngine(), models=router)) as client,
                asyncio.TaskGroup() as load,
            ):
                for mission in (MISSION, METER) * 3:
                    load.create_task(ask(client, mission))
                await until(lambda: seen.get(first, 0) > 10)
                refused = await client.post(
                    "/stage-a", data={"mission": TOWER}, files=[("photos", ("p", photos.jpeg()))]
                )
                assert refused.status_code == 422
                registry.move("champion", second, expected=first)
                await until(lambda: seen.get(second, 0) > 10)
                assert TOWER in [one["name"] for one in (await client.get("/missions")).json()]
                before = seen[first]
                rollback(registry, "champion")
                await until(lambda: seen[first] > before + 10)
                assert TOWER not in [one["name"] for one in (await client.get("/missions")).json()]
                over.set()
        finally:
            await swaps.aclose()


async def test_what_was_begun_keeps_its_inspection(versions, tmp_path):
    registry, (first, second), _ = versions
    with inspections():
        router, swaps = await served_models(settings(tmp_path), ModelObserver())
        try:
            async with router.pin("ticket") as pinned:
                assert pinned.model.digest == first
                begun, caption = active(), dense_prompt()
                registry.move("champion", second, expected=first)
                await until(lambda: router.model.digest == second)
                assert active() is begun
                assert await asyncio.to_thread(active) is begun
                assert dense_prompt() == caption
                assert TOWER not in active().missions
            assert mission_named(TOWER).domain == "tower"
        finally:
            await swaps.aclose()


@pytest.mark.usefixtures("versions")
async def test_the_operators_directory_is_not_replaced(tmp_path):
    own = copy_of_default(tmp_path / "mine", further=TOWER_LIGHT)
    with inspections(own):
        router, swaps = await served_models(settings(tmp_path), ModelObserver())
        await swaps.aclose()
        assert router.model.untrained == {TOWER}
        assert list(active().missions)[-1] == TOWER


async def test_a_model_whose_inspection_cannot_be_read_leaves_the_old_one_active(versions, tmp_path):
    registry, (first, second), _ = versions
    with inspections():
        router, swaps = await served_models(settings(tmp_path), ModelObserver())
        try:
            (brought, _) = registry.version(second).inspections
            layer = json.loads(registry.store.manifest(brought))["layers"][1]["digest"]
            blob = tmp_path / "registry" / "blobs" / "sha256" / layer.removeprefix("sha256:")
            blob.chmod(0o644)
            blob.write_bytes(b"[]" + blob.read_bytes()[2:])
            registry.move("champion", second, expected=first)
            await until(lambda: swaps.status.last_result is not None)
            assert "expected sha256" in getattr(swaps.status.last_result, "reason", "")
            assert router.model.digest == first
            assert TOWER not in active().missions
        finally:
            await swaps.aclose()
