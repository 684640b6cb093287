"""The queue and a ticket in a browser: by keyboard, by two people at once, after the session ended, without a scope."""

from __future__ import annotations

import re
from datetime import timedelta

from playwright.async_api import Page, expect

from service.tickets.ticket import State
from tests.support.browser import ON_THE_SESSIONS_LOOP, Served
from tests.support.console_tickets import EVIL, add_dead_letter, add_reviewable
from vqc.verdict import Verdict

pytestmark = ON_THE_SESSIONS_LOOP


async def wait_for_page(page: Page, part: str) -> None:
    """Returns once the address contains ``part`` and the page's scripts handle keys."""
    await expect(page).to_have_url(re.compile(part))
    await page.wait_for_load_state("load")


async def test_a_ticket_is_decided_and_undone_by_keyboard_alone(served: Served):
    desk = served.site.context.tickets
    first = await add_reviewable(desk, "QC-0001", hours=3)
    second = await add_reviewable(desk, "QC-0002", hours=2)
    person = await served.person()
    keyboard, page = person.page.keyboard, person.page
    await expect(page.get_by_role("heading", name="待复核")).to_be_visible()
    await keyboard.press("n")
    await wait_for_page(page, first.id)
    await keyboard.press("f")
    await keyboard.type("挡风板 p 未安装")  # letters are letters while somebody writes
    await keyboard.press("Control+Enter")
    await wait_for_page(page, second.id)
    await expect(page.get_by_text("刚才决定了 QC-0001：不通过")).to_be_visible()
    kept = await desk.store.get(first.id)
    assert (kept.verdict, kept.reviews[0].note, kept.reviews[0].name) == (Verdict.FAIL, "挡风板 p 未安装", "王工")
    await keyboard.press("u")
    await wait_for_page(page, first.id)
    await expect(page.get_by_text("撤销了决定")).to_be_visible()
    assert (await desk.store.get(first.id)).state is State.NEEDS_REVIEW
    await keyboard.press("p")
    await keyboard.press("Control+Enter")
    await wait_for_page(page, second.id)
    await keyboard.press("p")
    await keyboard.press("Control+Enter")
    await expect(page.get_by_text("没有符合条件的待复核工单")).to_be_visible()
    assert (await desk.store.counts())[State.REVIEWED] == 2
    assert (person.page_errors, person.foreign_requests) == ([], [])


async def test_the_second_of_two_reviewers_sees_the_first_ones_decision(served: Served):
    desk = served.site.context.tickets
    ticket = await add_reviewable(desk, "QC-0001")
    one, two = await served.person("decides"), await served.person()
    for person in (one, two):
        await person.page.goto(f"/console/tickets/{ticket.id}")
    await one.page.keyboard.press("f")
    await one.page.fill("[name=note]", "缺螺丝")
    await one.page.keyboard.press("Control+Enter")
    await expect(one.page.get_by_text("刚才决定了")).to_be_visible()
    await two.page.keyboard.press("p")
    await two.page.keyboard.press("Control+Enter")
    await expect(two.page.get_by_role("heading", name="他人已先作出决定")).to_be_visible()
    await expect(two.page.get_by_text("缺螺丝")).to_be_visible()
    assert (await desk.store.get(ticket.id)).verdict is Verdict.FAIL
    assert await two.axe_violations() == []
    await two.page.get_by_role("button", name="用我的决定替换").click()
    await expect(two.page.get_by_text("刚才决定了 QC-0001：通过")).to_be_visible()
    assert [review.verdict for review in (await desk.store.get(ticket.id)).reviews] == [Verdict.FAIL, Verdict.PASS]


async def test_a_session_that_ended_asks_to_sign_in_and_goes_back_to_the_ticket(served: Served):
    ticket = await add_reviewable(served.site.context.tickets, "QC-0001")
    person = await served.person()
    page = person.page
    await page.goto(f"/console/tickets/{ticket.id}")
    served.site.clock.moment += timedelta(hours=13)
    await page.keyboard.press("p")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("会话已结束")).to_be_visible()
    assert (await served.site.context.tickets.store.get(ticket.id)).state is State.NEEDS_REVIEW
    await page.goto(f"/console/tickets/{ticket.id}")
    await page.fill("[name=key]", served.site.keys["all"])
    await page.press("[name=key]", "Enter")
    await expect(page).to_have_url(re.compile(f"tickets/{ticket.id}"))


async def test_counts_that_poll_send_a_page_whose_session_ended_to_sign_in(served: Served):
    person = await served.person()
    served.site.clock.moment += timedelta(hours=13)
    await expect(person.page).to_have_url(re.compile("sign-in.next=%2Fconsole%2Fqueue"), timeout=15_000)


async def test_counts_grow_without_a_reload(served: Served):
    person = await served.person()
    await expect(person.page.locator("#counts b").first).to_have_text("0")
    await add_reviewable(served.site.context.tickets, "QC-0001")
    await expect(person.page.locator("#counts b").first).to_have_text("1", timeout=15_000)
    assert (person.page_errors, person.foreign_requests) == ([], [])


async def test_without_the_scope_there_is_no_form_and_no_page(served: Served):
    ticket = await add_reviewable(served.site.context.tickets, "QC-0001")
    person = await served.person("looks")
    await person.page.goto(f"/console/tickets/{ticket.id}")
    await expect(person.page.get_by_text("没有 review 权限")).to_be_visible()
    await person.page.keyboard.press("p")
    await expect(person.page.locator("#decision")).to_have_count(0)
    other = await served.person("captions")
    await other.page.goto("/console/queue")
    await expect(other.page.get_by_role("heading", name="没有权限")).to_be_visible()
    await expect(other.page.get_by_role("link", name="待复核")).to_have_count(0)


async def test_html_in_names_stays_text(served: Served):
    desk = served.site.context.tickets
    ticket = await add_reviewable(desk, "<img src=x onerror=alert(1)>", name=EVIL)
    await add_dead_letter(desk, "<script>alert(1)</script>")
    person = await served.person()
    for path in (f"/console/tickets/{ticket.id}", "/console/queue", "/console/live"):
        await person.page.goto(path)
        assert await person.page.locator("img[src=x], main script").count() == 0
    await person.page.goto(f"/console/tickets/{ticket.id}")
    await expect(person.page.get_by_text(EVIL).first).to_be_visible()
    assert (person.page_errors, person.foreign_requests) == ([], [])


async def test_number_keys_open_photos_and_objects_are_drawn(served: Served):
    ticket = await add_reviewable(served.site.context.tickets, "QC-0001", photos=2)
    person = await served.person()
    page = person.page
    await page.goto(f"/console/tickets/{ticket.id}")
    image = page.locator(".overlay-picture image")
    await expect(image).to_have_attribute("href", re.compile(ticket.photos[0].digest))
    await page.keyboard.press("2")
    await expect(image).to_have_attribute("href", re.compile(ticket.photos[1].digest))
    await page.keyboard.press("o")
    await expect(page.locator(".overlay-list li").first).to_be_visible()
    assert await page.locator(".overlay-object").count() > 0
    await page.keyboard.press("1")
    await expect(page.locator(".overlay-object")).to_have_count(0)
    assert (person.page_errors, person.foreign_requests) == ([], [])


async def test_a_dead_letter_is_retried(served: Served):
    ticket = await add_dead_letter(served.site.context.tickets, "QC-DEAD")
    person = await served.person()
    await person.page.goto("/console/live")
    await person.page.get_by_role("button", name="重试 QC-DEAD").click()
    await expect(person.page.get_by_text("没有失败工单")).to_be_visible()
    assert (await served.site.context.tickets.store.get(ticket.id)).state is State.QUEUED
