"""One HTTP client for one repository of one registry; its failures in the product's words."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from time import sleep
from typing import TypeVar

import httpx

from registry.errors import RegistryUnavailable
from registry.remote.credentials import RegistryAuth, is_loopback
from vqc.errors import InvalidValue

_ADDRESS = re.compile(
    r"oci://(?P<host>\[[0-9a-fA-F:]+\](?::\d+)?|[^/:@\s]+(?::\d+)?)/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
)
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
ATTEMPTS = 4
_T = TypeVar("_T")


class Transport:
    """Requests below ``/v2/<name>/``. Thread-safe."""

    def __init__(self, host: str, name: str) -> None:
        self.where = f"oci://{host}/{name}"
        scheme = "http" if is_loopback(host) else "https"
        self._client = httpx.Client(
            base_url=f"{scheme}://{host}/v2/{name}/", auth=RegistryAuth(host), timeout=_TIMEOUT, follow_redirects=True
        )
        weakref.finalize(self, self._client.close)
        self._client.cookies.jar.set_policy(
            DefaultCookiePolicy(allowed_domains=[])
        )  # Harbor takes cookies for a browser

    @classmethod
    def at(cls, address: str) -> Transport:
        """The transport of ``oci://host[:port]/repository``.

        Raises:
            InvalidValue: it is no such address.
        """
        parts = _ADDRESS.fullmatch(address)
        if parts is None:
            raise InvalidValue(
                "registry", address, "name oci://host[:port]/repository in lower case, without tag or password"
            )
        return cls(parts["host"], parts["name"])

    def ask(
        self,
        method: str,
        url: str,
        *,
        accept: Iterable[int] = (200,),
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """An answer with one of the accepted statuses; tried again while the registry does not answer or says 5xx or 429.

        Raises:
            RegistryUnavailable: it does not come round, or says another status.
        """

        def once() -> httpx.Response:
            response = self._client.request(method, url, headers=headers, content=content)
            return self.checked(response, accept)

        return self.persistently(once)

    @contextmanager
    def stream(self, url: str, headers: dict[str, str]) -> Generator[httpx.Response]:
        """A GET whose body is read by the block."""
        with self._translated(), self._client.stream("GET", url, headers=headers) as response:
            yield response

    def send(self, method: str, url: str, headers: dict[str, str], content: Iterable[bytes]) -> httpx.Response:
        """One attempt with a streamed body."""
        with self._translated():
            return self._client.request(method, url, headers=headers, content=content)

    def checked(self, response: httpx.Response, accept: Iterable[int]) -> httpx.Response:
        """The response, if its status is accepted."""
        if response.status_code not in accept:
            response.read()
            raise RegistryUnavailable(self.where, _refusal(response), response.status_code)
        return response

    def persistently(self, once: Callable[[], _T]) -> _T:
        """What ``once`` gives, tried up to ``ATTEMPTS`` times where trying again may help."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._translated():
                    return once()
            except RegistryUnavailable as error:
                final = error.status is not None and error.status < 500 and error.status not in (408, 429)
                if final or attempt == ATTEMPTS:
                    raise
            sleep(0.2 * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            reason = f"does not answer ({type(error).__name__}: {error})"
            raise RegistryUnavailable(self.where, reason) from error


def _refusal(response: httpx.Response) -> str:
    """What the registry said no with."""
    try:
        errors = response.json()["errors"]
        said = "; ".join(f"{error.get('code')}: {error.get('message')}" for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        said = response.reason_phrase
    hint = " (log in with `docker login`)" if response.status_code in (401, 403) else ""
    return f"{response.request.method} {response.request.url.path} says {response.status_code} {said}{hint}"
