"""Webhook deliveries over the API and in the console: listed, and sent again by hand."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from engine.scripted import ScriptedEngine
from service.tickets.deliveries import Delivery, DeliveryState
from service.web.auth import Scope
from service.web.key_file import KeyFile, create_key
from tests.support.console_site import Clock, Site, keys_file
from tests.support.service_context import client_of, context_with
from tests.support.ticket_store_suite import ACCEPTED, ticket

URL = "https://hooks.example.com/secret-path"


@pytest.fixture
async def context(tmp_path):
    path, tokens = keys_file(tmp_path)
    made = context_with(ScriptedEngine(), keys=KeyFile(path))
    return made, path, tokens


async def failed_delivery(tickets, **changes) -> Delivery:
    done = replace(ticket(webhook=URL).cancel(datetime.now(UTC)), **changes)
    await tickets.store.create(done, ACCEPTED, None)
    delivery = Delivery(
        id=done.job_id,
        ticket=done.id,
        host="hooks.example.com",
        state=DeliveryState.FAILED,
        attempts=10,
        at=datetime.now(UTC),
        problem="hooks.example.com answered 500",
    )
    await tickets.deliveries.save(delivery)
    return delivery


async def test_failed_deliveries_are_listed_and_sent_again(context):
    made, _, tokens = context
    delivery = await failed_delivery(made.tickets)
    async with client_of(made) as client:
        client.headers["Authorization"] = f"Bearer {tokens['all']}"
        listed = (await client.get("/stage-b/webhooks?state=failed")).json()
        assert [(one["id"], one["attempts"], one["host"]) for one in listed["deliveries"]] == [
            (delivery.id, 10, "hooks.example.com")
        ]
        assert "secret-path" not in str(listed)
        assert (await client.get("/stage-b/webhooks?state=delivered")).json()["deliveries"] == []
        answer = await client.post(f"/stage-b/webhooks/{delivery.id}/resend")
        assert (answer.status_code, list(made.tickets.queue.notifying)) == (202, [delivery.id])
        unknown = await client.post("/stage-b/webhooks/00ff.1/resend")
        assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:vqc:problem:unknown-webhook")
        for path in ("/stage-b/webhooks/x/resend", "/stage-b/webhooks/..%2F1.1/resend"):
            assert (await client.post(path)).status_code in (404, 422)
    [entry] = [one for one in made.web.audit._audit_log.entries() if one["action"] == "webhook_sent_again"]
    assert (entry["webhook"], entry["by"]) == (delivery.id, "王工")


async def test_the_webhook_of_an_earlier_run_is_not_sent_again(context):
    made, _, tokens = context
    delivery = await failed_delivery(made.tickets)
    await made.tickets.manage.retry(delivery.ticket, None)
    async with client_of(made) as client:
        answer = await client.post(
            f"/stage-b/webhooks/{delivery.id}/resend", headers={"Authorization": f"Bearer {tokens['all']}"}
        )
    assert (answer.status_code, dict(made.tickets.queue.notifying)) == (409, {})


async def test_deliveries_need_the_scope_stage_b(tmp_path):
    token = create_key(tmp_path / "keys.yaml", [Scope.CAPTION, Scope.REVIEW], None)
    async with client_of(context_with(ScriptedEngine(), keys=KeyFile(tmp_path / "keys.yaml"))) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        assert (await client.get("/stage-b/webhooks")).status_code == 403
        assert (await client.post("/stage-b/webhooks/00.1/resend")).status_code == 403


@pytest.mark.parametrize(("language", "title"), [("zh", "回调通知"), ("en", "Webhooks")])
async def test_the_console_lists_deliveries_and_sends_one_again(context, language, title):
    made, path, tokens = context
    delivery = await failed_delivery(made.tickets)
    async with Site(made, Clock(datetime.now(UTC)), tokens, path).visitor("all") as visitor:
        shown = await visitor.get("/console/webhooks?state=failed", **{"Accept-Language": language})
        assert title in shown.text
        assert "hooks.example.com answered 500" in shown.text
        answer = await visitor.post("/console/webhooks/resend", delivery=delivery.id)
        assert answer.headers["location"] == f"/console/webhooks?sent={delivery.id}"
        assert delivery.id in (await visitor.get(answer.headers["location"])).text
    assert list(made.tickets.queue.notifying) == [delivery.id]
