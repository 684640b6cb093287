"""Who gets into the console, for how long, and what every answer tells the browser."""

from datetime import UTC, datetime, timedelta

import pytest
import yaml

from engine.scripted import ScriptedEngine
from service.platform.errors import QueueUnavailable
from tests.support.console_site import Clock, Site
from tests.support.service_context import context_with


async def test_an_anonymous_visitor_signs_in_and_reaches_the_wanted_page(site):
    async with site.visitor() as stranger:
        sent = await stranger.get("/console/queue?mission=x")
        assert (sent.status_code, sent.headers["location"]) == (
            303,
            "/console/sign-in?next=%2Fconsole%2Fqueue%3Fmission%3Dx",
        )
        form = await stranger.get(sent.headers["location"])
        assert form.status_code == 200
        assert "ended" not in (await stranger.get("/console/queue")).headers["location"]  # it has never begun
        assert 'value="/console/queue?mission=x"' in form.text
        answer = await stranger.post("/console/sign-in", key=site.keys["all"], next="/console/queue")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/queue")


async def test_scripts_and_other_sites_cannot_read_the_cookie(site):
    async with site.visitor() as stranger:
        answer = await stranger.post("/console/sign-in", key=site.keys["all"])
        cookie = answer.headers["set-cookie"]
        assert all(flag in cookie for flag in ("HttpOnly", "SameSite=Lax", "Path=/console"))
        assert site.keys["all"] not in cookie


@pytest.mark.parametrize("key", ["", "vqc_x_y", "nonsense"])
async def test_a_wrong_key_is_rejected(site, key):
    async with site.visitor() as stranger:
        answer = await stranger.post("/console/sign-in", key=key)
        assert answer.status_code in (401, 422)
        assert (await stranger.get("/console/nothing")).status_code == 303


async def test_an_expired_session_leads_to_sign_in_with_a_notice(site, visitor):
    assert (await visitor.get("/console/nothing")).status_code == 404
    site.clock.moment += timedelta(hours=12, seconds=1)
    sent = await visitor.get("/console/nothing")
    assert sent.status_code == 303
    assert "ended=1" in sent.headers["location"]
    assert "会话已结束" in (await visitor.get(sent.headers["location"])).text
    unsaved = await visitor.client.post("/console/nothing", data={"csrf_token": "x"})
    assert (unsaved.status_code, "没有保存" in unsaved.text) == (401, True)
    part = await visitor.get(
        "/console/nothing", **{"HX-Request": "true", "HX-Current-URL": "http://vqc.test/console/queue?a=1"}
    )
    assert (part.status_code, part.headers["hx-redirect"]) == (
        401,
        "/console/sign-in?next=%2Fconsole%2Fqueue%3Fa%3D1&ended=1",
    )
    script = await visitor.get("/console/nothing", Accept="application/json")
    assert script.json()["type"] == "urn:vqc:problem:unauthenticated"


async def test_a_session_in_use_is_renewed(site, visitor):
    for _ in range(4):
        site.clock.moment += timedelta(hours=8)
        assert (await visitor.get("/console/nothing")).status_code == 404


POLLED = {"HX-Request": "true", "HX-Current-URL": "http://vqc.test/console/live"}


async def test_an_open_page_that_updates_itself_does_not_renew_the_session(site, visitor):
    for _ in range(2):
        site.clock.moment += timedelta(hours=5)
        assert (await visitor.get("/console/live/numbers", **POLLED)).status_code == 200
    site.clock.moment += timedelta(hours=3)
    assert (await visitor.get("/console/live/numbers", **POLLED)).status_code == 401


async def test_signing_out_ends_the_session_for_every_copy_of_its_cookie(site, visitor):
    copied = visitor.client.cookies["vqc_session"]
    async with site.visitor() as thief:
        thief.client.cookies.set("vqc_session", copied)
        token = await thief.csrf()
        assert (await thief.get("/console/nothing")).status_code == 404
        assert (await visitor.post("/console/sign-out")).status_code == 303
        assert (await visitor.get("/console/nothing")).status_code == 303
        thief.client.cookies.clear()
        thief.client.cookies.set("vqc_session", copied)
        assert (await thief.get("/console/nothing")).headers["location"].endswith("ended=1")
        answer = await thief.client.post(
            "/console/tickets/0/decision",
            data={"csrf_token": token, "verdict": "通过", "revision": "0"},
            headers={"Cookie": f"vqc_session={copied}"},
        )
        assert answer.status_code == 401


async def test_signing_in_again_ends_the_session_before(site, visitor):
    copied = visitor.client.cookies["vqc_session"]
    assert (await visitor.post("/console/sign-in", key=site.keys["decides"])).status_code == 303
    assert visitor.client.cookies["vqc_session"] != copied
    assert await site.sessions.get(copied, renew=None) is None


@pytest.mark.parametrize("change", ["removed", "expired", "another secret"])
async def test_a_session_ends_with_its_key_and_does_not_come_back_with_it(site, visitor, change):
    before = site.key_file.read_text()
    keys = yaml.safe_load(before)
    first = keys[0] | {"expired": {"expires_at": "2020-01-01T00:00:00Z"}, "another secret": {"sha256": "0" * 64}}.get(
        change, {}
    )
    site.key_file.write_text(yaml.safe_dump(keys[1:] + [first] * (change != "removed"), allow_unicode=True))
    assert (await visitor.get("/console/nothing")).status_code == 303
    site.key_file.write_text(before)
    assert (await visitor.get("/console/nothing")).status_code == 303


async def test_without_its_store_a_signed_in_person_gets_503_and_keeps_the_session(site, visitor, monkeypatch):
    async def away(*args, **kwargs):
        raise QueueUnavailable("connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(site.sessions, "get", away)
        answer = await visitor.get("/console/nothing")
        assert (answer.status_code, "set-cookie" in answer.headers) == (503, False)
        assert int(answer.headers["retry-after"]) >= 1
        async with site.visitor() as stranger:
            assert (await stranger.get("/console/sign-in")).status_code == 200
    assert (await visitor.get("/console/nothing")).status_code == 404


async def test_strangers_do_not_fill_the_store(site):
    async with site.visitor() as stranger:
        for _ in range(3):
            stranger.client.cookies.clear()
            await stranger.get("/console/sign-in")
    assert site.sessions._records == {}


async def test_a_forged_cookie_is_anonymous(site, visitor):
    value = visitor.client.cookies["vqc_session"]
    visitor.client.cookies.clear()
    visitor.client.cookies.set("vqc_session", value[:-1] + ("0" if value[-1] != "0" else "1"))
    assert (await visitor.get("/console/nothing")).status_code == 303


@pytest.mark.parametrize("form", [{}, {"csrf_token": "x"}, {"csrf_token": ""}])
async def test_a_form_without_the_csrf_token_is_rejected(visitor, form):
    answer = await visitor.client.post("/console/language", data={"language": "en", **form})
    assert answer.status_code == 403
    assert "没有权限" in answer.text


async def test_the_token_may_be_a_header_and_must_be_of_the_same_session(site, visitor):
    token = await visitor.csrf()
    answer = await visitor.client.post("/console/language", data={"language": "en"}, headers={"X-CSRF-Token": token})
    assert answer.status_code == 303
    async with site.visitor("all") as other:
        answer = await other.client.post("/console/language", data={"language": "en"}, headers={"X-CSRF-Token": token})
        assert answer.status_code == 403


async def test_every_response_has_the_security_headers(site, visitor):
    for path in ("/console/sign-in", "/console/nothing"):
        headers = (await visitor.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


async def test_without_keys_there_is_no_sign_in_but_forms_need_their_token():
    site = Site(context_with(ScriptedEngine()), Clock(datetime.now(UTC)), {})
    async with site.visitor() as visitor:
        assert (await visitor.get("/console/nothing")).status_code == 404
        assert (await visitor.client.post("/console/language", data={"language": "en"})).status_code == 403
        assert (await visitor.post("/console/language", language="en")).status_code == 303


async def test_the_language_is_that_of_the_browser_until_one_is_chosen(visitor):
    assert 'lang="zh-CN"' in (await visitor.get("/console/sign-in")).text
    assert '<html lang="en">' in (await visitor.get("/console/sign-in", **{"Accept-Language": "en-US,en;q=0.9"})).text
    answer = await visitor.post("/console/language", language="en", next="//evil.example/console")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    assert '<html lang="en">' in (await visitor.get("/console/sign-in")).text


async def test_static_files_never_expire_under_their_digest_and_nothing_else_is_served(site):
    from service.console.assets import static

    async with site.visitor() as stranger:
        url = static("console.css")
        answer = await stranger.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
        assert "immutable" in answer.headers["cache-control"]
        assert "set-cookie" not in answer.headers
        old = await stranger.get("/console/static/0123/console.css")
        assert old.headers["cache-control"] == "no-cache"
        for path in ("../app.py", "..%2Fapp.py", "none.css", "%2Fetc%2Fpasswd"):
            assert (await stranger.get(f"/console/static/0/{path}")).status_code in (303, 404)
    with pytest.raises(FileNotFoundError):
        static("none.css")
