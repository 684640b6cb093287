"""Every page in both languages, light and dark: no violation of axe's rules, no foreign request, no script error.

With ``SCREENSHOTS=folder`` in the environment each page is also written there as a PNG.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.console.pages import PAGES
from service.web.auth import Scope
from tests.support.browser import ON_THE_SESSIONS_LOOP, Person, Served
from tests.support.console_tickets import add_dead_letter, add_reviewable
from vqc.verdict import Verdict

pytestmark = ON_THE_SESSIONS_LOOP


async def paths(served: Served) -> dict[str, str]:
    """The address of every page by its name, with content on each."""
    desk = served.site.context.tickets
    await add_reviewable(desk, "QC-20261120-0007", verdict=Verdict.FAIL, hours=30)
    ticket = await add_reviewable(desk, "QC-20261123-0031", reasons=("divided_vote", "below_threshold"), hours=26)
    await add_reviewable(desk, "QC-20261124-0102", reasons=("summaries_unclear",), mission="RRU线缆", hours=4)
    done = await add_reviewable(desk, "QC-20261124-0103", hours=3)
    given = {"name": "李工", "note": "左侧螺丝缺失，已电话确认", "by": None}
    await desk.manage.review(done.id, verdict=Verdict.FAIL, **given)
    await add_dead_letter(desk, "QC-20261124-0044")
    named = {page.name: page.path for page in PAGES if page.path}
    return {
        **named,
        "ticket": f"/console/tickets/{ticket.id}",
        "reviewed": f"/console/tickets/{done.id}",
        "missing": "/console/none",
    }


async def look(person: Person, name: str, language: str, scheme: str) -> list[str]:
    await person.page.wait_for_load_state("networkidle")
    if folder := os.environ.get("SCREENSHOTS"):
        path = Path(folder) / f"{name}-{language}-{scheme}.png"
        await person.page.screenshot(path=path, full_page=True)
    return [f"{name}: {one}" for one in await person.axe_violations()]


@pytest.mark.parametrize(("language", "scheme"), [("zh-CN", "light"), ("en", "dark")])
async def test_every_page_can_be_used(served: Served, language: str, scheme: str):
    stranger = await served.person(None, locale=language, color_scheme=scheme)
    await stranger.page.goto("/console/sign-in")
    found = await look(stranger, "sign_in", language, scheme)
    person = await served.person("all", locale=language, color_scheme=scheme)
    assert set(Scope) == served.site.context.web.keys.authenticate(f"Bearer {served.site.keys['all']}").scopes
    for name, path in (await paths(served)).items():
        answer = await person.page.goto(path)
        assert answer.status == (404 if name == "missing" else 200), name
        assert await person.page.locator("h1").count() == 1, name
        assert await person.page.locator("[style], [onclick], [onerror]").count() == 0, name
        assert await person.page.locator("script:not([src])").count() == 0, name
        found += await look(person, name, language, scheme)  # last: axe leaves styles behind
    assert found == []
    assert person.foreign_requests == []
    assert [fault for fault in person.page_errors if "404" not in fault] == []


async def test_a_narrow_page_does_not_scroll_sideways(served: Served):
    person = await served.person("all", viewport={"width": 390, "height": 800})
    for name, path in (await paths(served)).items():
        await person.page.goto(path)
        wide = await person.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, (name, wide)


async def test_the_keyboard_reaches_the_content_at_once(served: Served):
    person = await served.person()
    await person.page.keyboard.press("Tab")
    assert await person.page.evaluate("document.activeElement.className") == "skip"
    await person.page.keyboard.press("Enter")
    assert await person.page.evaluate("document.activeElement.id") == "main"
