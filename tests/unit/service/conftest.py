"""The application on the scripted engine, called without a network."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from engine.scripted import ScriptedEngine
from service.models import exchange as models_exchange
from service.models import swap as models_swap
from tests.support.service_context import client_of, context_with


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Starting engines are looked at often."""
    for module in (models_exchange, models_swap):
        monkeypatch.setattr(module, "POLL_S", 0.001)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def client(engine) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with client_of(context_with(engine)) as client:
        yield client
