"""Webhooks: signed, to allowed hosts only, until they are accepted or out of attempts."""

import base64
import hmac
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import trustme
from standardwebhooks import Webhook, WebhookVerificationError

from service.platform.errors import UrlRejected, WebhookFailed
from service.tickets.deliveries import DeliveryState, MemoryDeliveries
from service.tickets.memory_store import MemoryTicketStore
from service.tickets.notify import NotifyWebhook
from service.tickets.ports import TicketObserver
from service.tickets.ticket import Ticket
from service.tickets.webhook import SignedWebhook, standard_headers
from tests.support.ticket_store_suite import ACCEPTED, ticket
from tests.support.tls_server import tls_server
from vqc.errors import InvalidValue

SECRET = b"shared"


async def nowhere(host: str, port: int):
    raise AssertionError(f"{host} must not be resolved")


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://other.example.com/",
        "https://10.0.0.1/",
        "https://hooks.example.com@x.org/",
    ],
)
def test_a_url_outside_the_list_is_refused_without_a_look(url):
    with pytest.raises(UrlRejected) as refused:
        SignedWebhook(["hooks.example.com"], SECRET, lambda one: b"", resolve=nowhere).check(url)
    assert refused.value.field == "webhook"


@pytest.mark.parametrize(("hosts", "secret"), [((), SECRET), (["hooks.example.com"], None)])
def test_without_a_list_or_a_secret_webhooks_are_off(hosts, secret):
    with pytest.raises(UrlRejected, match="VQC_WEBHOOK_HOSTS"):
        SignedWebhook(hosts, secret, lambda one: b"").check("https://hooks.example.com/")


async def test_a_name_that_leads_inside_is_refused():
    async def inside(host, port):
        return ["10.0.0.1"]

    webhook = SignedWebhook(["hooks.example.com"], SECRET, lambda one: b"", resolve=inside)
    with pytest.raises(UrlRejected, match="public addresses"):
        await webhook.deliver(replace(ticket(), webhook="https://hooks.example.com/"))


@asynccontextmanager
async def receiver(*statuses: int):
    """A TLS server that answers with each status in turn; yields a webhook, its URL and the requests seen."""
    remaining, seen = list(statuses), []

    async def handle(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        seen.append((headers, await reader.readexactly(int(headers["Content-Length"]))))
        writer.write(f"HTTP/1.1 {remaining.pop(0)} Whatever\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with tls_server(trustme.CA(), "hooks.example.com", handle) as (port, reaching):
        webhook = SignedWebhook(
            [f"hooks.example.com:{port}"], SECRET, lambda one: f'{{"id":"{one.id}"}}'.encode(), **reaching
        )
        yield webhook, f"https://hooks.example.com:{port}/vqc", seen


def finished(url: str) -> Ticket:
    return ticket(webhook=url).cancel(datetime.now(UTC))


async def test_the_receiver_can_check_who_speaks():
    async with receiver(204) as (webhook, url, seen):
        await webhook.deliver(finished(url))
    ((headers, body),) = seen
    at_s, signed = (part.partition("=")[2] for part in headers["X-Vqc-Signature"].split(","))
    assert hmac.new(SECRET, f"{at_s}.".encode() + body, "sha256").hexdigest() == signed
    assert headers["X-Vqc-Delivery"] == f"{ticket().id}.1"
    assert headers["Host"].startswith("hooks.example.com")


@pytest.mark.parametrize("secret", [SECRET, b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_a_receiver_verifies_with_a_library_of_the_standard(secret):
    key = secret.decode() if secret.startswith(b"whsec_") else base64.b64encode(secret).decode()
    now = datetime.now(UTC)
    headers = standard_headers(secret, "0190.1", '{"reason":"缺螺丝"}'.encode(), now)
    assert Webhook(key).verify('{"reason":"缺螺丝"}', headers) == {"reason": "缺螺丝"}
    for changed in ({"webhook-id": "0190.2"}, {"webhook-timestamp": str(int(now.timestamp()) + 1)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify('{"reason":"缺螺丝"}', headers | changed)


async def test_what_is_sent_carries_the_standard_headers_too():
    async with receiver(204) as (webhook, url, seen):
        await webhook.deliver(finished(url))
    ((headers, body),) = seen
    assert headers["webhook-id"] == headers["X-Vqc-Delivery"]
    Webhook(base64.b64encode(SECRET).decode()).verify(body.decode(), headers)


@pytest.mark.parametrize("secret", [b"whsec_", b"whsec_!", "whsec_密钥".encode(), b"whsec_abcde"])
def test_a_secret_that_is_no_base64_after_its_prefix_is_refused_at_the_start(secret):
    with pytest.raises(InvalidValue, match="VQC_WEBHOOK_SECRET"):
        SignedWebhook(["hooks.example.com"], secret, lambda one: b"")


@pytest.mark.parametrize("status", [302, 400, 500])
async def test_anything_but_success_is_worth_another_try(status):
    async with receiver(status) as (webhook, url, _):
        with pytest.raises(WebhookFailed, match=str(status)):
            await webhook.deliver(finished(url))


class Attempts(TicketObserver):
    def __init__(self) -> None:
        self.delivered: list[bool] = []

    def record_webhook(self, *, delivered: bool) -> None:
        self.delivered.append(delivered)


async def test_it_is_tried_until_taken_or_given_up_and_the_record_says_which():
    async with receiver(500, 200, 500) as (webhook, url, seen):
        store, observer, deliveries = MemoryTicketStore(), Attempts(), MemoryDeliveries()
        notify = NotifyWebhook(store=store, webhook=webhook, deliveries=deliveries, observer=observer)
        first = await store.create(finished(url), ACCEPTED, None)
        assert not await notify(first.job_id, last=False)
        tried = await deliveries.get(first.job_id)
        assert (tried.state, tried.attempts, tried.host) == (DeliveryState.RETRYING, 1, url.split("/")[2])
        assert "500" in tried.problem
        assert await notify(first.job_id, last=False)
        other = await store.create(replace(finished(url), id="ff"), ACCEPTED, None)
        assert await notify(other.job_id, last=True)
        assert observer.delivered == [False, True, False]
        assert [event.name for event in await store.events(first.id, None)] == ["accepted", "webhook_delivered"]
        assert [event.name for event in await store.events(other.id, None)] == ["accepted", "webhook_failed"]
        kept = [(one.state, one.attempts) for one in (await deliveries.page(None, after=None, limit=9)).deliveries]
        assert kept == [(DeliveryState.FAILED, 1), (DeliveryState.DELIVERED, 2)]
    assert len(seen) == 3


async def test_the_reason_of_a_failure_does_not_have_the_url():
    store, deliveries = MemoryTicketStore(), MemoryDeliveries()
    webhook = SignedWebhook(["hooks.example.com"], SECRET, lambda one: b"{}", resolve=nowhere)
    notify = NotifyWebhook(store=store, webhook=webhook, deliveries=deliveries, observer=TicketObserver())
    ended = await store.create(finished("https://gone.example.com/x?token=hunter2"), ACCEPTED, None)
    assert await notify(ended.job_id, last=False)
    kept = await deliveries.get(ended.job_id)
    assert (kept.state, kept.host) == (DeliveryState.FAILED, "gone.example.com")
    assert "hooks.example.com" in kept.problem
    assert "hunter2" not in kept.problem + str(await store.events(ended.id, None))


async def test_a_run_that_is_not_finished_or_not_the_last_is_not_notified():
    async with receiver() as (webhook, url, seen):
        store = MemoryTicketStore()
        notify = NotifyWebhook(store=store, webhook=webhook, deliveries=MemoryDeliveries(), observer=TicketObserver())
        again = await store.create(finished(url).retry(), ACCEPTED, None)
        assert await notify(f"{again.id}.1", last=False)
        assert await notify(again.job_id, last=False)
        assert await notify("00.1", last=False)
    assert not seen
