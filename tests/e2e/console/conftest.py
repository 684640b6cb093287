"""The console in a real browser: Debian's Chromium, one for this folder, and a service on the scripted engine beside it.

Tests run on the session's event loop: ``pytestmark = ON_THE_SESSIONS_LOOP``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from engine.scripted import ScriptedEngine
from service.web.key_file import read_keys
from tests.support.browser import Served, chromium, serving
from tests.support.console_site import Clock, Site, keys_file
from tests.support.service_context import context_with


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncGenerator[Browser, None]:
    expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]
        found = await playwright.chromium.launch(executable_path=chromium(), args=options)
        yield found
        await found.close()


@pytest_asyncio.fixture(loop_scope="session")
async def served(browser: Browser, tmp_path: Path) -> AsyncGenerator[Served, None]:
    path, keys = keys_file(tmp_path)
    context = context_with(ScriptedEngine(), keys=read_keys(path), max_body_bytes=2**24)
    async with serving(Site(context, Clock(datetime.now(UTC)), keys), browser) as found:
        yield found
