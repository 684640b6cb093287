"""Settings to served models: what VQC_MODEL names, canary and shadow, and room for two engines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.profile import EngineSettings
from registry import open_registry
from service.models import capacity as models_room
from service.models.capacity import fits as fits_in_memory
from service.models.deployment import Checkpoint
from service.models.observe import ModelObserver
from service.models.roles import ServedModel
from service.models.wiring import served_models
from service.platform.settings import Settings, read_settings
from service.platform.shares import Role
from tests.support.bare_model import checkpoint
from tests.support.model_fleet import until
from vqc.errors import InvalidValue

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def registry(tmp_path):
    registry = open_registry(tmp_path / "registry")
    registry.push(checkpoint(tmp_path / "a", b"one"), alias="champion")
    registry.push(checkpoint(tmp_path / "b", b"two"), alias="candidate")
    return registry


def settings(tmp_path: Path, **given) -> Settings:
    values = {"engine": "scripted", "registry": str(tmp_path / "registry"), "model_cache": tmp_path / "cache"}
    return read_settings(**values | given)


async def test_an_alias_of_the_registry_is_served_under_its_name(registry, tmp_path):
    router, swaps = await served_models(settings(tmp_path, model="champion", registry_poll_s=0.01), ModelObserver())
    try:
        assert router.model == ServedModel(alias="champion", digest=registry.resolve("champion"))
        registry.move("champion", "candidate", expected=registry.resolve("champion"))
        await until(lambda: router.model.digest == registry.resolve("candidate"))
    finally:
        await swaps.aclose()


async def test_a_digest_is_served_under_the_alias_of_the_settings(registry, tmp_path):
    digest = registry.resolve("candidate")
    router, swaps = await served_models(settings(tmp_path, model=digest, model_alias="pinned"), ModelObserver())
    await swaps.aclose()
    assert router.model == ServedModel(alias="pinned", digest=digest)


async def test_canary_and_shadow_start_beside_the_main_model(registry, tmp_path):
    registry.push(checkpoint(tmp_path / "c", b"three"), alias="next")
    chosen = settings(tmp_path, model="champion", canary="candidate:0.5", shadow="next", registry_poll_s=0)
    router, swaps = await served_models(chosen, ModelObserver())
    try:
        await until(lambda: router.active(Role.SHADOW))
        aliases = {role: router.active(role).model.alias for role in Role}
        assert aliases == {Role.MAIN: "champion", Role.CANARY: "candidate", Role.SHADOW: "next"}
    finally:
        await swaps.aclose()


async def test_without_a_registry_a_scripted_engine_has_no_model(tmp_path):
    router, swaps = await served_models(read_settings(engine="scripted"), ModelObserver())
    await swaps.aclose()
    assert router.model == ServedModel(alias="default", digest="scripted")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "champoin"}, "champoin.*'champion'"),
        ({"engine": "managed", "model": "./nowhere"}, "VQC_MODEL.*VQC_REGISTRY"),
        ({"engine": "managed", "model": None, "registry": None}, "VQC_MODEL: None"),
    ],
)
async def test_a_directory_without_a_checkpoint_is_rejected_by_name(registry, tmp_path, given, message):
    with pytest.raises(InvalidValue, match=message):
        await served_models(settings(tmp_path, **given), ModelObserver())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"canary": "candidate:2"}, "VQC_CANARY: 'candidate:2'.*at most 1"),
        ({"shadow": ":0.5"}, "VQC_SHADOW"),
        ({"canary": "champion:0.1"}, "different aliases"),
        ({"canary": "candidate:0.1", "shadow": "candidate"}, "different aliases"),
        ({"canary": "candidate:0.1", "engine_url": "http://engine", "engine": "external"}, "managed or scripted"),
    ],
)
def test_invalid_shares_are_rejected_by_name(tmp_path, given, message):
    with pytest.raises(InvalidValue, match=message):
        settings(tmp_path, model="champion", **given)


@pytest.mark.parametrize(("free_gib", "fits"), [(3.5, False), (5.0, True), (None, False)])
async def test_a_cpu_engine_fits_if_weights_cache_and_overhead_do(tmp_path, monkeypatch, free_gib, fits):
    monkeypatch.setattr(models_room, "_available_gib", lambda: free_gib)
    version = Checkpoint(model=ServedModel(alias="a", digest="d"), directory=tmp_path)
    engine = EngineSettings(model=tmp_path, profile="cpu", kv_cache_gib=1)
    assert await fits_in_memory(engine, version) is fits


@pytest.mark.parametrize(("printed", "fits"), [("45000, 80000", True), ("7000, 80000", False), ("", False)])
async def test_a_gpu_engine_fits_if_its_share_of_the_memory_is_free(tmp_path, monkeypatch, printed, fits):
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\necho '{printed}'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    version = Checkpoint(model=ServedModel(alias="a", digest="d"), directory=tmp_path)
    engine = EngineSettings(model=tmp_path, profile="gpu", gpu_memory_utilization=0.45)
    assert await fits_in_memory(engine, version) is fits


def test_the_event_loop_is_free_while_a_version_is_fetched(registry, tmp_path):
    """Everything that reads files runs on a thread."""

    async def scenario() -> int:
        ticks, over = 0, False

        async def tick() -> None:
            nonlocal ticks
            while not over:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        _, swaps = await served_models(settings(tmp_path, model="champion"), ModelObserver())
        over = True
        await ticking
        await swaps.aclose()
        return ticks

    assert asyncio.run(scenario()) > 1
