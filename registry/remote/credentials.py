"""Registry authentication: Docker credentials and the OCI token flow.

Credentials come from ``$DOCKER_CONFIG/config.json`` (or ``~/.docker``): ``auths``, then ``credHelpers`` and
``credsStore``. The password is sent to the registry's own host and to the token service that it names, never over plain
HTTP to another machine.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import re
import subprocess
from collections.abc import Generator
from pathlib import Path

import httpx

from registry.errors import RegistryUnavailable

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class RegistryAuth(httpx.Auth):
    """Answers a registry's challenge with Basic authentication or a Bearer token, and renews an expired token."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._basic = find_login(host)
        self._header: str | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sends the request with the last successful header and answers one 401."""
        if _host(request.url) != self._host:  # redirected to the registry's storage, which must not see the password
            yield request
            return
        repeatable = isinstance(request.stream, httpx.ByteStream)
        if self._header is not None:
            request.headers["Authorization"] = self._header
        response = yield request
        if response.status_code != 401 or _host(response.request.url) != self._host:
            return  # what another host asks for, to which the registry redirected, is not answered with a password
        if not repeatable:
            # A streamed body is consumed. The caller's next request has none and gets a new token here.
            self._header = None
            return
        scheme, _, rest = response.headers.get("www-authenticate", "").partition(" ")
        if scheme.lower() == "basic" and self._basic is not None:
            header = f"Basic {self._basic}"
        elif scheme.lower() == "bearer":
            answer = yield self._token_request(dict(_PARAMETER.findall(rest)))
            answer.read()
            header = f"Bearer {_token(answer, self._host)}"
        else:
            return
        self._header = request.headers["Authorization"] = header
        yield request

    def _token_request(self, challenge: dict[str, str]) -> httpx.Request:
        realm = challenge.get("realm", "")
        if not realm.startswith("https://") and not is_loopback(httpx.URL(realm).netloc.decode()):
            raise RegistryUnavailable(self._host, f"its token service {realm!r} has no TLS; no password was sent")
        query = {key: challenge[key] for key in ("service", "scope") if key in challenge}
        headers = {"Authorization": f"Basic {self._basic}"} if self._basic else {}
        return httpx.Request("GET", realm, params=query, headers=headers)


def is_loopback(host: str) -> bool:
    """Whether a host (with or without port) is this machine; only then is plain HTTP used.

    >>> is_loopback("127.0.0.1:5000"), is_loopback("localhost"), is_loopback("[::1]:5000"), is_loopback("harbor.example")
    (True, True, True, False)
    """
    name = re.sub(r":\d+$", "", host) if host.count(":") == 1 or "]:" in host else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost"


def find_login(host: str) -> str | None:
    """The base64 of ``user:password`` for a host; None without a login."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    auths = config.get("auths") or {}
    for name in (host, f"https://{host}", f"http://{host}"):
        if login := (auths.get(name) or {}).get("auth"):
            return login
    helper = (config.get("credHelpers") or {}).get(host) or config.get("credsStore")
    return _ask_helper(helper, host) if helper else None


def _ask_helper(helper: str, host: str) -> str | None:
    command = [f"docker-credential-{helper}", "get"]
    try:
        ran = subprocess.run(command, input=host.encode(), capture_output=True, timeout=30, check=True)
        login = json.loads(ran.stdout)
        return base64.b64encode(f"{login['Username']}:{login['Secret']}".encode()).decode()
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return None


def _token(answer: httpx.Response, host: str) -> str:
    if answer.status_code != 200:
        raise RegistryUnavailable(
            host,
            f"its token service returned {answer.status_code}; log in with `docker login {host}`",
            answer.status_code,
        )
    fields = answer.json()
    return str(fields.get("token") or fields.get("access_token"))


def _host(url: httpx.URL) -> str:
    return url.netloc.decode()
