"""Sign-in with an account: at a real OpenID Connect provider, and by a proxy's header."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from engine.scripted import ScriptedEngine
from service.console.accounts import parse_group_scopes
from service.console.app import ConsoleOptions
from service.console.oidc import OidcClient, OidcProvider
from service.console.proxy_sign_in import ProxySignIn
from service.platform.settings import read_settings
from service.web.auth import KeyRing
from tests.support.console_site import Clock, Site
from tests.support.console_tickets import add_reviewable
from tests.support.oidc_provider import oidc_provider
from tests.support.service_context import context_with
from vqc.errors import InvalidValue

GROUPS = parse_group_scopes("VQC_CONSOLE_GROUPS", ["inspectors=stage-b+review", "leads=stage-b+admin"])
PROXY = ProxySignIn(user_header="X-Forwarded-User", groups_header="X-Forwarded-Groups")
BACK = "/console/sign-in/oidc/callback"

# The provider's own use of authlib, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning")


@pytest.fixture(scope="module")
def provider():
    with oidc_provider() as running:
        yield running


def site_of(oidc=None, proxy=None) -> Site:
    context = context_with(ScriptedEngine(), keys=(), trusted_proxies=("10.0.0.0/8",))
    options = ConsoleOptions(groups=GROUPS, oidc=oidc, proxy=proxy)
    return Site(context, Clock(datetime.now(UTC)), {}, options=options)


@pytest.fixture
def site(provider) -> Site:
    return site_of(OidcProvider(OidcClient(issuer=provider.issuer, client_id="vqc", client_secret="s3cret")))


async def come_back(visitor, provider, person: str, next: str = "/console/queue") -> httpx.Response:
    """What the visitor sees after signing in at the provider."""
    away = await visitor.get(f"/console/sign-in/oidc?{urlencode({'next': next})}")
    assert away.status_code == 303, away.text
    back = await provider.approve(away.headers["location"], person)
    return await visitor.get(back.partition("http://vqc.test")[2])


async def test_a_person_signs_in_at_the_provider_and_decides_under_their_name_there(site, provider):
    ticket = await add_reviewable(site.context.tickets, "QC-1")
    async with site.visitor() as visitor:
        assert "/console/sign-in/oidc?next=" in (await visitor.get("/console/sign-in")).text
        answer = await come_back(visitor, provider, "alice")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/queue")
        assert "王工" in (await visitor.get("/console/queue")).text
        form = {"verdict": "通过", "revision": str(ticket.revision), "name": "张三"}
        assert (await visitor.post(f"/console/tickets/{ticket.id}/decision", **form)).status_code == 303
        copied = visitor.client.cookies["vqc_session"]
        assert (await visitor.post("/console/sign-out")).status_code == 303
        visitor.client.cookies.set("vqc_session", copied, domain="vqc.test", path="/console")
        assert (
            await visitor.client.get("/console/queue", headers={"Cookie": f"vqc_session={copied}"})
        ).status_code == 303
    [kept] = (await site.context.tickets.store.get(ticket.id)).reviews
    assert (kept.name, kept.reviewer) == ("王工", "oidc:alice")
    by = {entry["action"]: entry["by"] for entry in site.context.web.audit._audit_log.entries()}
    assert by["signed_in"] == by["ticket_decided"] == "王工"


async def test_groups_say_what_a_person_may_do(site, provider):
    async with site.visitor() as bob:
        assert (await come_back(bob, provider, "bob")).status_code == 303
        shown = (await bob.get("/console/queue")).text
        assert "bob" in shown
        ticket = await add_reviewable(site.context.tickets, "QC-1")
        assert "没有 review 权限" in (await bob.get(f"/console/tickets/{ticket.id}")).text
    async with site.visitor() as carol:
        refused = await come_back(carol, provider, "carol")
        assert (refused.status_code, "carol@example.com" in refused.text) == (403, True)
        assert (await carol.get("/console/queue")).status_code == 303


async def test_an_accounts_session_ends_after_its_time_even_in_use(site, provider):
    async with site.visitor() as visitor:
        await come_back(visitor, provider, "alice")
        for hours, status in ((8, 200), (5, 303)):
            site.clock.moment += timedelta(hours=hours)
            assert (await visitor.get("/console/queue")).status_code == status


@pytest.mark.parametrize("change", ["state", "code", "no cookie", "another browser", "error", "again"])
async def test_an_answer_that_does_not_belong_to_the_attempt_signs_no_one_in(site, provider, change):
    async with site.visitor() as visitor, site.visitor() as other:
        away = await visitor.get("/console/sign-in/oidc")
        back = urlsplit(await provider.approve(away.headers["location"], "alice"))
        query = {name: values[0] for name, values in parse_qs(back.query).items()}
        if change in ("state", "code"):
            query[change] += "x"
        if change == "error":
            query = {"state": query["state"], "error": "access_denied"}
        if change == "no cookie":
            visitor.client.cookies.clear()
        if change == "another browser":
            await other.get("/console/sign-in/oidc")
            visitor = other
        if change == "again":
            assert (await visitor.get(f"{BACK}?{urlencode(query)}")).status_code == 303
            await visitor.post("/console/sign-out")
        answer = await visitor.get(f"{BACK}?{urlencode(query)}")
        assert (answer.status_code, "登录失败" in answer.text) == (401, True)
        assert (await visitor.get("/console/queue")).status_code == 303


async def test_a_token_for_another_client_attempt_or_issuer_is_rejected(provider):
    right = OidcClient(issuer=provider.issuer, client_id="vqc", client_secret="s3cret")
    oidc = OidcProvider(right)
    async with site_of(oidc).visitor() as visitor:
        oidc._client = replace(right, client_id="other")
        away = await visitor.get("/console/sign-in/oidc")
        back = await provider.approve(away.headers["location"], "alice")
        oidc._client = right
        assert (await visitor.get(back.partition("http://vqc.test")[2])).status_code == 401
        away = await visitor.get("/console/sign-in/oidc")
        held = visitor.client.cookies["vqc_oidc"]
        changed = base64.urlsafe_b64decode(held).replace(b'"nonce":"', b'"nonce":"x')
        back = await provider.approve(away.headers["location"], "alice")
        cookie = f"vqc_oidc={base64.urlsafe_b64encode(changed).decode()}"
        visitor.client.cookies.clear()
        answer = await visitor.client.get(back.partition("http://vqc.test")[2], headers={"Cookie": cookie})
        assert answer.status_code == 401
    wrong = OidcProvider(replace(right, issuer=f"{provider.issuer}/"))
    async with site_of(wrong).visitor() as visitor:
        answer = await visitor.get("/console/sign-in/oidc")
        assert (answer.status_code, "another issuer" in answer.text) == (502, True)


async def test_a_provider_that_is_away_is_a_page_and_keys_still_sign_in():
    async with site_of(
        OidcProvider(OidcClient(issuer="http://127.0.0.1:9", client_id="vqc", client_secret=None))
    ).visitor() as visitor:
        answer = await visitor.get("/console/sign-in/oidc")
        assert (answer.status_code, 'name="key"' in answer.text) == (502, True)


async def test_without_a_provider_there_is_no_such_page():
    async with site_of().visitor() as visitor:
        assert (await visitor.get("/console/sign-in/oidc")).status_code == 404
        assert "/sign-in/oidc" not in (await visitor.get("/console/sign-in")).text


async def status_by_header(peer: str, headers) -> tuple[int, str]:
    transport = httpx.ASGITransport(app=site_of(proxy=PROXY).app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://vqc.test") as client:
        answer = await client.get("/console/queue", headers=[("Accept", "text/html"), *headers])
    return answer.status_code, answer.text


async def test_a_trusted_proxy_names_the_person_and_no_one_else_can():
    user = [("X-Forwarded-User", "王工".encode()), ("X-Forwarded-Groups", "staff, inspectors")]
    status, page = await status_by_header("10.1.2.3", user)
    assert (status, "王工" in page) == (200, True)
    for peer, headers in (
        ("192.0.2.1", user),
        ("127.0.0.1", user),
        ("192.0.2.1", [*user, ("X-Forwarded-For", "10.1.2.3")]),
        ("10.1.2.3", []),
        ("10.1.2.3", [*user, ("X-Forwarded-User", "admin")]),
    ):
        assert (await status_by_header(peer, headers))[0] == 303, (peer, headers)
    assert (await status_by_header("10.1.2.3", [("X-Forwarded-User", "x"), ("X-Forwarded-Groups", "visitors")]))[
        0
    ] == 403


async def test_the_header_signs_no_one_in_to_the_api():
    transport = httpx.ASGITransport(app=site_of(proxy=PROXY).app, client=("10.1.2.3", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://vqc.test") as client:
        headers = {"X-Forwarded-User": "x", "X-Forwarded-Groups": "leads"}
        assert (await client.get("/stage-b/groups", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": "https://id.example.com"},
        {"oidc_issuer": "http://id.example.com", "oidc_client_id": "vqc"},
        {"sign_in_header": "X-Forwarded-User"},
        {"sign_in_header": "X-Forwarded-User", "trusted_proxies": "*"},
    ],
)
def test_settings_that_would_let_anyone_in_are_refused(tmp_path, wrong):
    (tmp_path / "keys.yaml").write_text("[]")
    with pytest.raises(InvalidValue):
        read_settings(api_keys_file=tmp_path / "keys.yaml", **wrong)
    with pytest.raises(InvalidValue, match="api_keys_file"):
        read_settings(oidc_issuer="https://id.example.com", oidc_client_id="vqc")


def test_an_empty_key_file_admits_no_one():
    assert not KeyRing(()).admits_every_caller
