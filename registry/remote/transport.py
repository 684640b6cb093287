"""The HTTP client of one remote repository; translates HTTP failures into registry errors."""

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
            base_url=f"{scheme}://{host}/v2/{name}/",
            auth=RegistryAuth(host),
            timeout=_TIMEOUT,
            follow_redirects=True,
            max_redirects=5,
        )
        weakref.finalize(self, self._client.close)
        self._client.cookies.jar.set_policy(
            DefaultCookiePolicy(allowed_domains=[])
        )  # with cookies, Harbor treats the client as a browser and demands a CSRF token

    @classmethod
    def at(cls, address: str) -> Transport:
        """The transport for ``oci://host[:port]/repository``.

        Raises:
            InvalidValue: not a valid address.
        """
        parts = _ADDRESS.fullmatch(address)
        if parts is None:
            raise InvalidValue(
                "registry", address, "must be oci://host[:port]/repository in lower case, without tag or password"
            )
        return cls(parts["host"], parts["name"])

    def request(
        self,
        method: str,
        url: str,
        *,
        accept: Iterable[int] = (200,),
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """A response with an accepted status. Retries connection failures and the statuses 408, 429 and 5xx.

        Raises:
            RegistryUnavailable: all attempts failed, or the status is another one.
        """

        def once() -> httpx.Response:
            response = self._client.request(method, url, headers=headers, content=content)
            return self.require_status(response, accept)

        return self.retry(once)

    @contextmanager
    def stream(self, url: str, headers: dict[str, str]) -> Generator[httpx.Response]:
        """A GET whose body is read in blocks."""
        with self._translate_errors(), self._client.stream("GET", url, headers=headers) as response:
            yield response

    def send(self, method: str, url: str, headers: dict[str, str], content: Iterable[bytes]) -> httpx.Response:
        """One attempt to send a streamed body; no retry."""
        with self._translate_errors():
            return self._client.request(method, url, headers=headers, content=content)

    def require_status(self, response: httpx.Response, accept: Iterable[int]) -> httpx.Response:
        """Returns the response if its status is accepted. Raises ``RegistryUnavailable``."""
        if response.status_code not in accept:
            response.read()
            raise RegistryUnavailable(self.where, _error_text(response), response.status_code)
        return response

    def retry(self, once: Callable[[], _T]) -> _T:
        """The result of ``once``, attempted up to ``ATTEMPTS`` times if the failure may be temporary."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._translate_errors():
                    return once()
            except RegistryUnavailable as error:
                final = error.status is not None and error.status < 500 and error.status not in (408, 429)
                if final or attempt == ATTEMPTS:
                    raise
            sleep(0.2 * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _translate_errors(self) -> Generator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            reason = f"does not answer ({type(error).__name__}: {error})"
            raise RegistryUnavailable(self.where, reason) from error


def _error_text(response: httpx.Response) -> str:
    """The registry's error message, with a hint how to log in."""
    try:
        errors = response.json()["errors"]
        message = "; ".join(f"{error.get('code')}: {error.get('message')}" for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        message = response.reason_phrase
    hint = " (log in with `docker login`)" if response.status_code in (401, 403) else ""
    return f"{response.request.method} {response.request.url.path} returned {response.status_code} {message}{hint}"
