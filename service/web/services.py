"""What every request passes through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request

from service.platform.admission import AdmissionControl
from service.platform.allowed_hosts import HostRule
from service.platform.errors import Unauthenticated
from service.platform.http_limits import HttpLimits
from service.platform.http_protocol import ServerLimits, server_limits
from service.web.audit_trail import AuditTrail
from service.web.auth import KeyRing
from service.web.key_limits import KeyLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices:
    """Keys and their limits, allowed hosts, admission and audit log; the server's limits.

    ``max_body_bytes`` limits the bodies of work, which take photos, ``max_small_body_bytes`` all others.

    ``trusted_proxies`` are the addresses and networks whose ``X-Forwarded-Proto`` and ``X-Forwarded-For`` are believed.
    """

    keys: KeyRing
    hosts: HostRule
    admission: AdmissionControl
    max_body_bytes: int
    audit: AuditTrail
    limits: KeyLimits = field(default_factory=KeyLimits)
    trusted_proxies: tuple[str, ...] = ()
    max_small_body_bytes: int = 2**20
    server: ServerLimits = field(default_factory=lambda: server_limits(HttpLimits()))


def key_is_still_valid(request: Request) -> bool:
    """Whether the API key that a request began with is valid by now. A request of the console has a session, which is True."""
    keys = web_services(request).keys
    if keys.admits_every_caller or "vqc_visit" in request.scope:
        return True
    try:
        keys.authenticate(request.headers.get("authorization"))
    except Unauthenticated:
        return False
    return True


def web_services(request: Request) -> WebServices:
    """The web services of the application that handles ``request``."""
    return cast(WebServices, request.app.state.web)
