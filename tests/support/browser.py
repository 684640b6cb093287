"""The console in a real browser: a person at a window of Debian's Chromium."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from service.platform.server import beside
from tests.support.console_site import Site
from tests.support.ports import free_port

AXE = Path(__file__).parents[1] / "assets" / "axe" / "axe-4.14.1.min.js"
ON_THE_SESSIONS_LOOP = pytest.mark.asyncio(loop_scope="session")


def chromium() -> str:
    """Debian's browser. Skips where it is not installed; in CI, which promises it, that is a failure."""
    if found := shutil.which("chromium"):
        return found
    missing = "chromium is not installed (Debian package chromium)"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@dataclass
class Served:
    """A console that browsers can reach."""

    site: Site
    url: str
    browser: Browser

    async def person(self, key: str | None = "all", **options) -> Person:
        """Somebody at a browser of their own, signed in where a key is named."""
        options = {"locale": "zh-CN", "viewport": {"width": 1280, "height": 900}, **options}
        context = await self.browser.new_context(base_url=self.url, **options)
        person = Person(context, await context.new_page(), self.url)
        person.watch()
        if key:
            await person.page.goto("/console")
            await person.page.fill("[name=key]", self.site.keys[key])
            await person.page.fill("[name=name]", "王工")
            await person.page.press("[name=name]", "Enter")
            await person.page.wait_for_url("**/console/**")
        return person


class Person:
    """One browser window; ``faults`` are what its pages complained of, ``strangers`` what they asked of other origins."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context, self.page, self._url = context, page, url
        self.faults: list[str] = []
        self.strangers: list[str] = []

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._asked)

    def _asked(self, request) -> None:
        if not request.url.startswith((self._url, "blob:", "data:")):
            self.strangers.append(request.url)

    async def serious(self) -> list[str]:
        """What axe finds serious or critical on the page as it stands; the test evaluates it, the page loads nothing."""
        await self.page.evaluate(AXE.read_text("utf-8"))
        found = await self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]


async def listening(port: int) -> None:
    """Returns once somebody listens there."""
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise AssertionError(f"nobody listens on port {port}")


@asynccontextmanager
async def serving(site: Site, browser: Browser) -> AsyncGenerator[Served, None]:
    """The site on a port of its own; at the end every window is closed."""
    port = free_port()
    async with beside(site.app, "127.0.0.1", port):
        await listening(port)
        found = Served(site, f"http://127.0.0.1:{port}", browser)
        yield found
        for one in browser.contexts:
            await one.close()
