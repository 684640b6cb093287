"""Guidance in a browser: a proposal is approved and rolled back; without the scope the page is read-only."""

from __future__ import annotations

from urllib.parse import quote

from playwright.async_api import expect

from tests.support.browser import ON_THE_SESSIONS_LOOP, Served
from tests.support.guidance_proposals import MISSION, proposal
from vqc.prompts import stage_a_prompt

pytestmark = ON_THE_SESSIONS_LOOP

EVIL = "<img src=x onerror=alert(1)>"


async def test_a_proposal_is_approved_and_rolled_back(served: Served):
    context, one = served.site.context, proposal()
    first = context.guidance.versions.active_version(MISSION)
    context.guidance.proposals.put(MISSION, one)
    person = await served.person()
    page = person.page
    await page.get_by_role("link", name="任务与指导规则").click()
    await expect(page.get_by_text("1 个待审")).to_be_visible()
    await page.get_by_role("link", name=MISSION.name).click()
    assert await person.axe_violations() == []
    await page.get_by_label("说明").first.fill("看过依据")
    await page.get_by_role("button", name="采纳").click()
    await expect(page.get_by_role("status")).to_contain_text("提案已采纳")
    assert context.guidance.versions.active_version(MISSION) == one.guidance
    await page.get_by_text("与生效的版本比较、回退").click()
    await page.get_by_role("button", name="回退到第 0 版").click()
    await expect(page.get_by_role("status")).to_contain_text("已回退")
    assert context.guidance.versions.active_version(MISSION) == first
    await expect(page.get_by_role("row", name="回退")).to_contain_text("王工")
    assert await person.axe_violations() == []
    assert (person.page_errors, person.foreign_requests) == ([], [])


async def test_a_narrow_page_does_not_scroll_sideways(served: Served):
    served.site.context.guidance.proposals.put(MISSION, proposal())
    person = await served.person(viewport={"width": 390, "height": 800})
    await person.page.goto(f"/console/guidance/{quote(MISSION.name)}")
    assert await person.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_the_second_of_two_people_sees_that_the_proposal_is_decided(served: Served):
    context, one = served.site.context, proposal()
    context.guidance.proposals.put(MISSION, one)
    people = [await served.person(), await served.person()]
    for person in people:
        await person.page.goto(f"/console/guidance/{quote(MISSION.name)}")
    await people[0].page.get_by_role("button", name="否决").click()
    await expect(people[0].page.get_by_role("status")).to_contain_text("提案已否决")
    await people[1].page.get_by_role("button", name="采纳").click()
    await expect(people[1].page.get_by_role("alert")).to_contain_text("处理：已否决")
    assert context.guidance.versions.active_version(MISSION) == one.base


async def test_without_admin_there_are_no_buttons_and_html_in_a_rule_stays_text(served: Served):
    served.site.context.guidance.proposals.put(MISSION, proposal(text=f"规则{EVIL}"))
    person = await served.person("decides")
    await person.page.goto(f"/console/guidance/{quote(MISSION.name)}")
    await expect(person.page.get_by_text(EVIL).first).to_be_visible()
    await expect(person.page.get_by_text("修改指导规则需要 admin 权限。").first).to_be_visible()
    await expect(person.page.locator("main button")).to_have_count(0)
    assert await person.page.locator("img[src=x]").count() == 0
    assert (person.page_errors, person.foreign_requests) == ([], [])


async def test_the_exact_prompts_of_a_mission_can_be_read(served: Served):
    person = await served.person(viewport={"width": 390, "height": 800})
    page = person.page
    await page.goto(f"/console/guidance/{quote(MISSION.name)}")
    await page.get_by_text("单张照片摘要的完整提示词").click()
    await expect(page.get_by_text(stage_a_prompt(MISSION).system, exact=True)).to_be_visible()
    await page.get_by_text("工单判定的完整提示词").click()
    await expect(page.get_by_text(MISSION.requirement).last).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert await person.axe_violations() == []
    assert (person.page_errors, person.foreign_requests) == ([], [])
