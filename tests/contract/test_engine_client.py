"""The HTTP client does what every engine does, against a stand-in for vLLM's server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.client import VllmClient
from engine.scripted import ScriptedEngine
from tests.support.engine_suite import EngineSuite, Subject, long_or_plausible
from tests.support.fake_vllm import FakeVllm


class TestVllmClient(EngineSuite):
    @pytest.fixture
    async def subject(self, tmp_path: Path) -> AsyncIterator[Subject]:
        fake = FakeVllm(ScriptedEngine(long_or_plausible, latency_s=0.05, token_interval_s=0.001))
        await fake.start(tmp_path / "s")
        client = VllmClient(tmp_path / "s", "fake")

        async def running() -> int:
            return fake.engine.in_flight

        async def completed() -> int:
            return fake.engine.answered

        yield Subject(engine=client, running=running, completed=completed)
        await client.aclose()
        await fake.stop()
