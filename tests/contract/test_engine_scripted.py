"""The scripted engine does what every engine does."""

from __future__ import annotations

import pytest

from engine.scripted import ScriptedEngine
from tests.support.engine_suite import EngineSuite, Subject, long_or_plausible


class TestScriptedEngine(EngineSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        engine = ScriptedEngine(long_or_plausible, latency_s=0.05, token_interval_s=0.001)

        async def running() -> int:
            return engine.in_flight

        async def completed() -> int:
            return engine.answered

        return Subject(engine=engine, running=running, completed=completed)
