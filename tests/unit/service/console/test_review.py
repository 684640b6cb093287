"""Queue, ticket and live pages without a browser: what they show, who may do what, and how decisions meet."""

import re
from datetime import UTC, datetime
from html import unescape

import pytest

from engine.scripted import ScriptedEngine
from service.platform.errors import QueueUnavailable
from service.tickets.ticket import State
from tests.support.console_site import Clock, Site
from tests.support.console_tickets import EVIL, PHOTOS, add_dead_letter, add_queued, add_reviewable
from tests.support.service_context import context_with
from vqc.verdict import Verdict


def decision(ticket, verdict="通过", **fields) -> dict[str, str]:
    return {"verdict": verdict, "revision": str(ticket.revision), "name": "王工", "note": "看清了", **fields}


def links(text: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'href="(/console/tickets/[^"]+)"', text)]


async def test_the_queue_has_the_riskiest_first_and_filters(site, visitor):
    desk = site.context.tickets
    low = await add_reviewable(desk, "QC-LOW", verdict=Verdict.FAIL, hours=30)
    medium = await add_reviewable(desk, "QC-MEDIUM", hours=5)
    high = await add_reviewable(desk, "QC-HIGH", reasons=("summaries_unclear",), mission="RRU线缆", hours=2)
    await add_reviewable(desk, "QC-DECIDED", reasons=())
    text = (await visitor.get("/console/queue")).text
    order = [text.index(name) for name in ("QC-HIGH", "QC-MEDIUM", "QC-LOW")]
    assert order == sorted(order)
    assert "QC-DECIDED" not in text
    assert links(text)[0] == f"/console/tickets/{high.id}"
    for query, expected in (
        ("mission=RRU线缆", [high]),
        ("risk=low&mission=&older=", [low]),
        ("older=1d", [low]),
        ("order=age", [low, medium, high]),
        ("model=champion@abababababab&risk=medium", [medium]),
        ("model=champion@cccccccccccc", []),
    ):
        shown = (await visitor.get(f"/console/queue?{query}")).text
        assert [one for one in ("QC-LOW", "QC-MEDIUM", "QC-HIGH") if one in shown] == sorted(
            (one.ticket_id for one in expected), key=("QC-LOW", "QC-MEDIUM", "QC-HIGH").index
        ), query
    assert (await visitor.get("/console/queue?order=size")).status_code == 422


async def test_a_page_ends_and_the_next_goes_on(site, visitor):
    for n in range(30):
        await add_reviewable(site.context.tickets, f"QC-{n:04d}", hours=60 - n, photos=0)
    text = (await visitor.get("/console/queue?order=age")).text
    assert re.findall(r"QC-\d{4}", text) == [f"QC-{n:04d}" for n in range(25)]
    there = unescape(re.search(r'href="([^"]+)" rel="next"', text)[1])
    text = (await visitor.get(there)).text
    assert re.findall(r"QC-\d{4}", text) == [f"QC-{n:04d}" for n in range(25, 30)]
    assert 'rel="next"' not in text


async def test_the_counts_can_be_polled_alone(site, visitor):
    await add_reviewable(site.context.tickets, "QC-1")
    text = (await visitor.get("/console/queue/counts", **{"HX-Request": "true"})).text
    assert "<html" not in text
    assert re.findall(r"<b>(\d+)</b>", text) == ["1", "0", "1", "0"]


async def test_a_ticket_shows_photos_votes_and_reasons_for_review(site, visitor):
    ticket = await add_reviewable(
        site.context.tickets, "QC-1", reasons=("divided_vote", "below_threshold", "something_new")
    )
    text = unescape((await visitor.get(f"/console/tickets/{ticket.id}")).text)
    for said in (
        "票数分散：只有 62% 的回答一致。",
        "得分 0.65 低于放行阈值 0.82。",
        "something_new",
        "照片摘要既不支持也不反对这个结论。",
        "理由涉及任务关键项的 50%。",
        "通过 5 · 不通过 3 · 无法读取 1",
        "不知道",
        "abababababab",
        ticket.photos[0].summary,
    ):
        assert said in text, said


async def test_a_ticket_without_a_verdict_or_before_judging_is_shown_too(site, visitor):
    desk = site.context.tickets
    ticket = await add_reviewable(desk, "QC-1", reasons=("no_verdict",), verdict=None)
    assert "没有可读的结论" in (await visitor.get(f"/console/tickets/{ticket.id}")).text
    new = await add_queued(desk, "QC-2")
    text = (await visitor.get(f"/console/tickets/{new.id}")).text
    assert "还没有判定结果" in text
    assert (await visitor.post(f"/console/tickets/{new.id}/decision", **decision(new))).status_code == 409
    assert (await visitor.get("/console/tickets/0123")).status_code == 404


async def test_a_decision_leads_to_the_next_ticket_and_can_be_undone(site, visitor):
    desk = site.context.tickets
    first, second = await add_reviewable(desk, "QC-1", hours=2), await add_reviewable(desk, "QC-2", hours=1)
    answer = await visitor.post(f"/console/tickets/{first.id}/decision?order=age", **decision(first, "不通过"))
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/console/tickets/{second.id}?order=age&decided={first.id}",
    )
    kept = await desk.store.get(first.id)
    assert (kept.state, kept.verdict, kept.reviews[0].note) == (State.REVIEWED, Verdict.FAIL, "看清了")
    assert kept.reviews[0].reviewer == site.keys["all"].split("_")[1]
    text = (await visitor.get(answer.headers["location"])).text
    assert "刚才决定了 QC-1：不通过" in text
    undone = await visitor.post(f"/console/tickets/{first.id}/undo", revision="1", name="王工")
    assert undone.status_code == 303
    assert (await desk.store.get(first.id)).state is State.NEEDS_REVIEW
    await visitor.post(f"/console/tickets/{first.id}/decision", **decision(await desk.store.get(first.id)))
    answer = await visitor.post(f"/console/tickets/{second.id}/decision", **decision(second))
    assert answer.headers["location"] == f"/console/queue?decided={second.id}"
    text = (await visitor.get(answer.headers["location"])).text
    assert "没有符合条件的待复核工单" in text
    assert "刚才决定了 QC-2" in text


async def test_a_decision_is_recorded_under_the_holder_of_the_key_whatever_name_is_sent(site, visitor):
    desk = site.context.tickets
    ticket = await add_reviewable(desk, "QC-1")
    page = (await visitor.get(f"/console/tickets/{ticket.id}")).text
    assert 'name="name"' not in page
    assert "以“王工”的名义记录" in page
    await visitor.post(f"/console/tickets/{ticket.id}/decision", **decision(ticket, name="张三"))
    await visitor.post(f"/console/tickets/{ticket.id}/undo", revision="1", name="张三")
    assert [one.name for one in (await desk.store.get(ticket.id)).reviews] == ["王工", "王工"]
    assert "张三" not in (await visitor.get(f"/console/tickets/{ticket.id}")).text


async def test_the_second_of_two_reviewers_sees_the_first_decision(site, visitor):
    desk = site.context.tickets
    ticket = await add_reviewable(desk, "QC-1")
    async with site.visitor("decides") as other:
        await other.post(
            f"/console/tickets/{ticket.id}/decision", **decision(ticket, "不通过", name="李工", note="缺螺丝")
        )
    answer = await visitor.post(f"/console/tickets/{ticket.id}/decision", **decision(ticket, "通过"))
    assert answer.status_code == 409
    for said in ("李工", "缺螺丝", "不通过", "看清了"):
        assert said in answer.text
    assert (await desk.store.get(ticket.id)).verdict is Verdict.FAIL
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', answer.text.split("<form")[-1]))
    assert fields["revision"] == "1"
    await visitor.post(f"/console/tickets/{ticket.id}/decision", **{k: unescape(v) for k, v in fields.items()})
    kept = await desk.store.get(ticket.id)
    assert [one.verdict for one in kept.reviews] == [Verdict.FAIL, Verdict.PASS]
    assert kept.reviews[1].replaced is Verdict.FAIL
    late = await visitor.post(f"/console/tickets/{ticket.id}/undo", revision="1", name="王工")
    assert late.status_code == 409


@pytest.mark.parametrize(("key", "status"), [("all", 200), ("looks", 200), ("decides", 200), ("captions", 403)])
@pytest.mark.parametrize("path", ["/console/queue", "/console/queue/counts", "/console/tickets/{id}", "/console/live"])
async def test_scopes_for_looking(site, key, status, path):
    ticket = await add_reviewable(site.context.tickets, "QC-1")
    async with site.visitor(key) as visitor:
        assert (await visitor.get(path.format(id=ticket.id))).status_code == status


async def test_without_the_scope_review_there_is_no_form_and_no_decision(site):
    ticket = await add_reviewable(site.context.tickets, "QC-1")
    async with site.visitor("looks") as visitor:
        text = (await visitor.get(f"/console/tickets/{ticket.id}")).text
        assert "没有 review 权限" in text
        assert "/decision" not in text
        assert (await visitor.post(f"/console/tickets/{ticket.id}/decision", **decision(ticket))).status_code == 403
        assert (await visitor.post(f"/console/tickets/{ticket.id}/undo", revision="0", name="x")).status_code == 403
    assert (await site.context.tickets.store.get(ticket.id)).state is State.NEEDS_REVIEW


@pytest.mark.parametrize(
    "wrong", [{"verdict": "maybe"}, {"revision": "-1"}, {"revision": "x"}, {"name": "x" * 129}, {"note": "x" * 2001}]
)
async def test_an_invalid_decision_names_the_field(site, visitor, wrong):
    ticket = await add_reviewable(site.context.tickets, "QC-1")
    answer = await visitor.post(f"/console/tickets/{ticket.id}/decision", **{**decision(ticket), **wrong})
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.text


async def test_names_and_notes_are_escaped(site, visitor):
    desk = site.context.tickets
    ticket = await add_reviewable(desk, "<script>alert(1)</script>", name=EVIL)
    await visitor.post(
        f"/console/tickets/{ticket.id}/decision", **decision(ticket, name="<b>王</b>", note="<img src=x>")
    )
    await add_dead_letter(desk, "QC-<i>")
    for path in (f"/console/tickets/{ticket.id}", "/console/queue?decided=" + ticket.id, "/console/live"):
        text = (await visitor.get(path)).text
        assert not re.search(r"<script>|<img src=x|<b>王|<i>|<b>three", text), path


async def test_photos_are_served_to_viewers_and_only_those_of_the_ticket(site, visitor):
    desk = site.context.tickets
    ticket, other = await add_reviewable(desk, "QC-1", photos=1), await add_reviewable(desk, "QC-2", photos=2)
    path = f"/console/tickets/{ticket.id}/photos/{ticket.photos[0].digest}"
    answer = await visitor.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content == PHOTOS[0].read_bytes()
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "private" in answer.headers["cache-control"]
    small = await visitor.get(f"{path}/thumbnail")
    assert (small.status_code, small.headers["content-type"]) == (200, "image/jpeg")
    assert len(small.content) < len(answer.content)
    assert f'src="{path}/thumbnail"' in (await visitor.get(f"/console/tickets/{ticket.id}")).text
    stranger = f"/console/tickets/{ticket.id}/photos/{other.photos[1].digest}"
    assert (await visitor.get(stranger)).status_code == 404
    assert (await visitor.get(f"{stranger}/thumbnail")).status_code == 404
    assert (await visitor.get(f"/console/tickets/{ticket.id}/photos/..%2Fx")).status_code in (404, 422)
    async with site.visitor("captions") as nosy:
        assert (await nosy.get(path)).status_code == 403
    async with site.visitor() as stranger_:
        assert (await stranger_.get(path)).status_code == 303


async def test_the_objects_of_a_photo_come_from_the_engine(site, visitor):
    ticket = await add_reviewable(site.context.tickets, "QC-1", photos=1)
    path = f"/console/tickets/{ticket.id}/photos/{ticket.photos[0].digest}/objects"
    headers = {"X-CSRF-Token": await visitor.csrf(), "Accept": "application/json"}
    answer = await visitor.client.post(path, headers=headers)
    assert answer.status_code == 200
    assert next(iter(answer.json()["caption"])) == "object_1"
    async with site.visitor("looks") as other:
        refused = await other.client.post(path, headers={**headers, "X-CSRF-Token": await other.csrf()})
        assert refused.json()["type"] == "urn:vqc:problem:forbidden"


async def test_dead_letters_are_listed_and_retried(site, visitor):
    ticket = await add_dead_letter(site.context.tickets, "QC-DEAD")
    text = (await visitor.get("/console/live")).text
    assert "QC-DEAD" in text
    assert "https://grafana.example.com" in text
    assert (await visitor.post("/console/live/retry", group=ticket.id)).status_code == 303
    assert (await site.context.tickets.store.get(ticket.id)).state is State.QUEUED
    assert list(site.context.tickets.queue.judging) == [f"{ticket.id}.2"]
    assert (await visitor.post("/console/live/retry", group=ticket.id)).status_code == 409
    async with site.visitor("decides") as other:
        assert (await other.get("/console/live/numbers")).status_code == 200


async def test_the_live_page_says_that_the_queue_is_unavailable(site, visitor, monkeypatch):
    async def away():
        raise QueueUnavailable("gone fishing")

    monkeypatch.setattr(site.context.tickets.store, "counts", away)
    answer = await visitor.get("/console/live")
    assert answer.status_code == 200
    assert "gone fishing" in answer.text


async def test_english_pages_are_english(site, visitor):
    ticket = await add_reviewable(site.context.tickets, "QC-1")
    for path, said in (
        ("/console/queue", "Review queue"),
        (f"/console/tickets/{ticket.id}", "Why it needs review"),
        ("/console/live", "Dead letters"),
        ("/console/nothing", "Page not found"),
    ):
        assert said in (await visitor.get(path, **{"Accept-Language": "en"})).text


async def test_an_internal_error_is_a_page_with_nothing_but_the_request_id(site, visitor, monkeypatch):
    async def broken(group_id):
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(site.context.tickets.store, "get", broken)
    answer = await visitor.get("/console/tickets/0123")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert answer.headers["x-request-id"] in answer.text
    assert "hunter2" not in answer.text


async def test_without_keys_a_person_enters_their_name_once():
    context = context_with(ScriptedEngine())
    first, second = (
        await add_reviewable(context.tickets, "QC-1", hours=2),
        await add_reviewable(context.tickets, "QC-2", hours=1),
    )
    async with Site(context, Clock(datetime.now(UTC)), {}).visitor() as visitor:
        assert (
            'name="name" required maxlength="128" autocomplete="name" value=""'
            in (await visitor.get(f"/console/tickets/{first.id}")).text
        )
        answer = await visitor.post(f"/console/tickets/{first.id}/decision", **decision(first, name=" 李工 "))
        assert answer.headers["location"].startswith(f"/console/tickets/{second.id}")
        assert 'value="李工"' in (await visitor.get(answer.headers["location"])).text
    kept = (await context.tickets.store.get(first.id)).reviews[0]
    assert (kept.name, kept.reviewer) == ("李工", None)
