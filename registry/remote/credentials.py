"""Registry authentication: Docker credentials and the OCI token flow.

Credentials come from ``$DOCKER_CONFIG/config.json`` (or ``~/.docker``): ``auths``, then ``credHelpers`` and
``credsStore``. The password is sent to the registry's own host and to the token service that it names, never over plain
HTTP to another machine, and never where one of the two redirects to.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import subprocess
from collections.abc import Generator
from pathlib import Path

import httpx

from registry.errors import RegistryUnavailable, UnsafeAnswer
from registry.values import parse_json

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")


class RegistryAuth(httpx.Auth):
    """Answers a registry's challenge with Basic authentication or a Bearer token, and renews an expired token."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._origin = _origin(httpx.URL(f"{'http' if is_loopback(host) else 'https'}://{host}"))
        self._basic = find_login(host)
        self._header: str | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sends the request with the last successful header and answers one 401."""
        if _origin(request.url) != self._origin:  # the registry's storage, which must not see the password
            yield request
            return
        repeatable = isinstance(request.stream, httpx.ByteStream)
        if self._header is not None:
            request.headers["Authorization"] = self._header
        response = yield request
        if response.status_code != 401 or _origin(response.request.url) != self._origin:
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
        try:
            realm = httpx.URL(challenge.get("realm", ""))
        except httpx.InvalidURL as error:
            raise UnsafeAnswer(self._host, f"the address of its token service is not valid ({error})") from error
        may_be_plain = is_loopback(self._host) and is_loopback(realm.netloc.decode())
        if realm.scheme != "https" and not (realm.scheme == "http" and may_be_plain):
            raise UnsafeAnswer(self._host, f"its token service {str(realm)!r} has no TLS; no password was sent")
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
        config = _mapping(parse_json((folder / "config.json").read_bytes()))
    except (OSError, ValueError):
        return None
    auths = _mapping(config.get("auths"))
    for name in (host, f"https://{host}", f"http://{host}"):
        login = _mapping(auths.get(name)).get("auth")
        if isinstance(login, str) and _TOKEN.fullmatch(login):
            return login
    helper = _mapping(config.get("credHelpers")).get(host) or config.get("credsStore")
    return _ask_helper(helper, host) if isinstance(helper, str) and helper else None


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _ask_helper(helper: str, host: str) -> str | None:
    command = [f"docker-credential-{helper}", "get"]
    try:
        ran = subprocess.run(command, input=host.encode(), capture_output=True, timeout=30, check=True)
        login = _mapping(parse_json(ran.stdout))
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
    try:
        fields = _mapping(parse_json(answer.content))
    except ValueError:
        fields = {}
    token = fields.get("token") or fields.get("access_token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise RegistryUnavailable(host, "its token service returned no token", answer.status_code)
    return token


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"https": 443, "http": 80}.get(url.scheme, 0)
