"""One real engine for this folder."""

import pytest
import pytest_asyncio

from tests.support.collector import collecting
from tests.support.managed_engines import members


@pytest.fixture(scope="session")
def collector():
    """What the engine's spans, and those of processes that are told so, are sent to."""
    with collecting() as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def managed_engine(tiny_checkpoint, tmp_path_factory, collector):
    from engine.managed import ManagedEngine, SupervisorTimeouts
    from engine.profile import EngineSettings

    settings = EngineSettings(
        model=tiny_checkpoint, served_name="tiny", profile="cpu", max_model_len=8192, traces=collector.url
    )
    log = tmp_path_factory.mktemp("engine") / "engine.log"
    async with ManagedEngine(settings, log_path=log, timeouts=SupervisorTimeouts()) as engine:
        yield engine
        session = engine.pid
    assert session
    assert not members(session), "the engine left processes over"
