"""Models in a browser: gates are checked, a version is promoted, the swap is followed without a reload, and rolled back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest_asyncio
from playwright.async_api import expect

from registry import Registry, open_registry
from service.models.registry_catalogue import RegistryCatalogue
from service.web.key_file import read_keys
from tests.support.browser import ON_THE_SESSIONS_LOOP, Served, serving
from tests.support.console_site import Clock, Site, keys_file
from tests.support.evaluated_models import evaluated, write_policy
from tests.support.model_fleet import Fleet
from tests.support.service_context import context_with

pytestmark = ON_THE_SESSIONS_LOOP


@pytest_asyncio.fixture(loop_scope="session")
async def fleet() -> AsyncGenerator[Fleet, None]:
    async with Fleet() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def registry(tmp_path) -> Registry:
    return open_registry(tmp_path / "registry")


@pytest_asyncio.fixture(loop_scope="session")
async def versions(registry, tmp_path) -> list[str]:
    """The champion, a better version, and one that lacks everything."""
    found = [evaluated(registry, tmp_path, seed, f1) for seed, f1 in ((1, 0.6), (2, 0.7))]
    registry.move("champion", found[0], expected=None, actor="Li", reason="first")
    return [*found, evaluated(registry, tmp_path, 3, contract=False)]


@pytest_asyncio.fixture(loop_scope="session")
async def fleet_served(browser, fleet, registry, versions, tmp_path) -> AsyncGenerator[Served, None]:
    path, keys = keys_file(tmp_path)
    catalogue = RegistryCatalogue(registry, write_policy(tmp_path / "policy.yaml"), tmp_path / "cache")
    context = context_with(None, models=fleet.router, swaps=fleet.swaps, keys=read_keys(path), catalogue=catalogue)
    async with serving(Site(context, Clock(datetime.now(UTC)), keys), browser) as found:
        yield found


async def test_a_version_is_promoted_swapped_in_and_rolled_back(fleet, registry, versions, fleet_served):
    first, second, _ = versions
    person = await fleet_served.person()
    page = person.page
    await page.get_by_role("link", name="模型", exact=True).click()
    assert await person.axe_violations() == []
    await page.get_by_role("article").filter(has=page.get_by_title(second)).get_by_role("link").click()
    await expect(page.get_by_text("可以晋级")).to_be_visible()
    assert await person.axe_violations() == []
    await page.get_by_label("原因").fill("冬季照片")
    fleet.registry.aliases["champion"] = "v2"
    async with fleet.router.pin("ticket"):
        await page.get_by_role("button", name="晋级为 champion").click()
        await expect(page.get_by_text("别名已指向新版本")).to_be_visible()
        assert registry.resolve("champion") == second
        await expect(page.get_by_text("正在切换")).to_be_visible(timeout=15_000)
        await expect(page.get_by_role("rowheader", name="排空中")).to_be_visible(timeout=15_000)
    await expect(page.get_by_text("上次切换")).to_be_visible(timeout=15_000)
    await page.get_by_text(f"回退到 {first.removeprefix('sha256:')[:12]}").click()
    await page.get_by_role("button", name="回退", exact=True).click()
    await expect(page.get_by_text("别名已回退")).to_be_visible()
    assert registry.resolve("champion") == first
    assert (person.page_errors, person.foreign_requests) == ([], [])


async def test_failed_gates_are_listed_and_there_is_no_button(versions, fleet_served):
    person = await fleet_served.person(locale="en", color_scheme="dark")
    page = person.page
    await page.goto("/console/models")
    await page.get_by_role("article").filter(has=page.get_by_title(versions[2])).get_by_role("link").click()
    await expect(page.get_by_text("made under another grammar")).to_be_visible()
    await expect(page.get_by_text("no such report is attached")).to_be_visible()
    await expect(page.get_by_role("button", name="Promote")).to_have_count(0)
    assert await person.axe_violations() == []


async def test_without_admin_models_are_read_only(fleet_served):
    person = await fleet_served.person("looks")
    await person.page.goto("/console/models")
    await expect(person.page.get_by_text("晋级和回退需要 admin 权限。")).to_be_visible()
    await expect(person.page.locator("main button")).to_have_count(0)
    assert (person.page_errors, person.foreign_requests) == ([], [])
