"""Sends the completion webhook: a signed POST to an allowed host.

It is signed twice with the shared secret: by the Standard Webhooks scheme (``webhook-id``, ``webhook-timestamp``,
``webhook-signature``), which libraries of many languages verify, and as before that scheme existed here:
``X-Vqc-Signature: t=<unix seconds>,v1=<hex>`` where hex is HMAC-SHA256 over ``<t>.<body>``.
"""

from __future__ import annotations

import asyncio
import binascii
import hmac
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook

from service.platform.errors import UrlRejected, WebhookFailed
from service.platform.outbound_hosts import AllowedHosts, Resolve, Target, resolve
from service.tickets.ticket import Ticket
from vqc.addresses import is_public
from vqc.errors import InvalidValue

_OFF = "webhooks are off; the operator allows hosts (VQC_WEBHOOK_HOSTS) and sets a secret (VQC_WEBHOOK_SECRET)"


def signature(secret: bytes, body: bytes, at_s: int) -> str:
    """The header's value for a body that is sent at ``at_s`` (seconds since 1970).

    >>> signature(b"secret", b"{}", 1700000000)
    't=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163'
    """
    return f"t={at_s},v1={hmac.new(secret, f'{at_s}.'.encode() + body, 'sha256').hexdigest()}"


def standard_headers(secret: bytes, id: str, body: bytes, at: datetime) -> dict[str, str]:
    """The headers of the Standard Webhooks scheme. A secret ``whsec_<base64>`` is decoded; any other one is the key itself."""
    signed = _signer(secret).sign(id, at, body.decode())
    return {"webhook-id": id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signed}


def _signer(secret: bytes) -> Webhook:
    encoded = secret.removeprefix(b"whsec_")
    if encoded == secret:
        return Webhook(secret)
    try:
        key = binascii.a2b_base64(encoded + b"=" * (-len(encoded) % 4), strict_mode=True)
        if not key:
            raise ValueError("it is empty")
        return Webhook(key)
    except ValueError as error:
        valid = "after whsec_ it must be base64; any other text is used as it is"
        raise InvalidValue("VQC_WEBHOOK_SECRET", "whsec_…", valid) from error


class SignedWebhook:
    """Webhooks over HTTPS. ``body_of`` returns the response that ``GET`` on the ticket would have."""

    def __init__(
        self,
        allowed_hosts: Sequence[str],
        secret: bytes | None,
        body_of: Callable[[Ticket], bytes],
        *,
        timeout_s: float = 10.0,
        resolve: Resolve = resolve,
        allowed_address: Callable[[str], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        hosts = allowed_hosts if secret else ()
        if secret:
            _signer(secret)  # an invalid one is reported at the start
        self._hosts = AllowedHosts(hosts, off=_OFF, field="webhook", resolve=resolve, allowed_address=allowed_address)
        self._secret = secret or b""
        self._body_of = body_of
        self._timeout_s = timeout_s
        self._tls = tls

    def check(self, url: str) -> None:
        """Raises ``UrlRejected`` for a URL that is not allowed."""
        self._hosts.target(url)

    def host(self, url: str) -> str:
        """The host of a webhook, for records: its path and query may hold a secret."""
        return urlsplit(url).netloc.rpartition("@")[2]

    async def deliver(self, ticket: Ticket) -> None:
        """Returns when the receiver has accepted the ticket. Raises ``WebhookFailed`` or ``UrlRejected``."""
        assert ticket.webhook is not None  # by ``NotifyWebhook``
        target = self._hosts.target(ticket.webhook)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._post(target, await self._hosts.address(target), ticket)
        except TimeoutError as error:
            raise WebhookFailed(f"{target.host} did not answer within {self._timeout_s:g} s") from error
        except UrlRejected:
            raise
        except (httpx.HTTPError, OSError) as error:
            raise WebhookFailed(f"{target.host} did not answer: {error or type(error).__name__}") from error

    async def _post(self, target: Target, address: str, ticket: Ticket) -> None:
        body, now = self._body_of(ticket), datetime.now(UTC)
        headers = standard_headers(self._secret, ticket.job_id, body, now) | {
            "Host": target.netloc,
            "Content-Type": "application/json",
            "X-Vqc-Delivery": ticket.job_id,
            "X-Vqc-Signature": signature(self._secret, body, int(now.timestamp())),
        }
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=self._tls or True) as client:
            answer = await client.post(
                target.at(address), content=body, headers=headers, extensions={"sni_hostname": target.host}
            )
        if not answer.is_success:
            raise WebhookFailed(f"{target.host} answered {answer.status_code}")
