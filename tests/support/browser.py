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

from service.platform.server import serve_beside
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
        """A person with their own browser window, signed in if a key is named."""
        options = {"locale": "zh-CN", "viewport": {"width": 1280, "height": 900}, **options}
        context = await self.browser.new_context(base_url=self.url, **options)
        person = Person(context, await context.new_page(), self.url)
        person.watch()
        if key:
            await person.page.goto("/console")
            await person.page.fill("[name=key]", self.site.keys[key])
            await person.page.press("[name=key]", "Enter")
            await person.page.wait_for_url("**/console/**")
        return person


class Person:
    """One browser window. ``page_errors`` are script errors; ``foreign_requests`` are URLs of other origins."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context, self.page, self._url = context, page, url
        self.page_errors: list[str] = []
        self.foreign_requests: list[str] = []

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.page_errors.append(str(error)))
        self.page.on(
            "console", lambda message: self.page_errors.append(message.text) if message.type == "error" else None
        )
        self.page.on("dialog", lambda dialog: self.page_errors.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._record_request)

    def _record_request(self, request) -> None:
        if not request.url.startswith((self._url, "blob:", "data:")):
            self.foreign_requests.append(request.url)

    async def axe_violations(self) -> list[str]:
        """The serious and critical violations on the current page. The test injects axe; the page loads nothing."""
        await self.page.evaluate(AXE.read_text("utf-8"))
        found = await self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]


async def wait_for_port(port: int) -> None:
    """Returns once a process listens on the port."""
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise AssertionError(f"no process listens on port {port}")


@asynccontextmanager
async def serving(site: Site, browser: Browser) -> AsyncGenerator[Served, None]:
    """The site on a port of its own; at the end every window is closed."""
    port = free_port()
    async with serve_beside(site.app, "127.0.0.1", port):
        await wait_for_port(port)
        found = Served(site, f"http://127.0.0.1:{port}", browser)
        yield found
        for one in browser.contexts:
            await one.close()
