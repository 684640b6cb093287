"""The console on memory and the scripted engine, called without a network; keys as on a real machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from engine.scripted import ScriptedEngine
from service.app.context import Context
from service.web.key_file import KeyFile
from tests.support.console_site import Clock, Site, Visitor, keys_file
from tests.support.service_context import context_with


@pytest.fixture
def site(tmp_path) -> Site:
    path, keys = keys_file(tmp_path)
    context = context_with(ScriptedEngine(), keys=KeyFile(path))
    return Site(context, Clock(datetime.now(UTC)), keys, path)


@pytest.fixture
async def visitor(site: Site) -> AsyncGenerator[Visitor, None]:
    """Somebody who may do everything."""
    async with site.visitor("all") as visitor:
        yield visitor


@pytest.fixture
def context(site: Site) -> Context:
    return site.context
