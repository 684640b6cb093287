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

from registry.errors import RegistryUnavailable, UnsafeAnswer
from registry.remote.credentials import RegistryAuth, is_loopback
from registry.remote.guard import STREAM, Guard
from registry.values import parse_json
from vqc.errors import InvalidValue

_ADDRESS = re.compile(
    r"oci://(?P<host>\[[0-9a-fA-F:]+\](?::\d+)?|[^/:@\s]+(?::\d+)?)/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
)
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
ATTEMPTS = 4
_MAX_PAGES = 1000
_MAX_MESSAGE = 500
_T = TypeVar("_T")


class Transport:
    """Requests below ``/v2/<name>/``. Thread-safe."""

    def __init__(self, host: str, name: str, *, inner: httpx.BaseTransport | None = None) -> None:
        self.where = f"oci://{host}/{name}"
        self.base = httpx.URL(f"{'http' if is_loopback(host) else 'https'}://{host}/v2/{name}/")
        guard = Guard(self.where, self.base)
        self._client = httpx.Client(
            transport=inner,
            base_url=self.base,
            auth=RegistryAuth(host),
            headers={"Accept-Encoding": "identity"},  # a compressed body has no bound
            timeout=_TIMEOUT,
            follow_redirects=True,
            max_redirects=5,
            event_hooks={"request": [guard.check_request], "response": [guard.limit_response]},
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
            shown = re.sub(r"//\S*@", "//…@", address)
            valid = "must be oci://host[:port]/repository in lower case, without tag or password"
            raise InvalidValue("registry", shown, valid)
        port = re.search(r":(\d+)$", parts["host"])
        if port and not 0 < int(port[1][:6]) < 65536:
            raise InvalidValue("registry", address, "must have a port from 1 to 65535")
        try:
            return cls(parts["host"], parts["name"])
        except httpx.InvalidURL as error:
            raise InvalidValue("registry", address, f"must be oci://host[:port]/repository ({error})") from error

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

    def pages(self, url: str, headers: dict[str, str] | None = None) -> Generator[httpx.Response]:
        """The pages of a list; none if it does not exist (404).

        Raises:
            UnsafeAnswer: the list does not end, or goes on at another host.
        """
        following: str | None = url
        seen: set[str] = set()
        while following is not None:
            if following in seen or len(seen) == _MAX_PAGES:
                raise UnsafeAnswer(self.where, f"the list {url} does not end ({len(seen)} pages)")
            seen.add(following)
            answer = self.request("GET", following, accept=(200, 404), headers=headers)
            if answer.status_code == 404 and len(seen) == 1:
                return
            self.require_status(answer, (200,))
            yield answer
            link = answer.links.get("next", {}).get("url")
            following = None if link is None else str(self.join(answer, link))

    def join(self, answer: httpx.Response, link: str) -> httpx.URL:
        """The URL that an answer names, relative to its own. Raises ``RegistryUnavailable``."""
        with self._translate_errors():
            return answer.url.join(link)

    @contextmanager
    def stream(self, url: str, headers: dict[str, str]) -> Generator[httpx.Response]:
        """A GET whose body is read in blocks."""
        with self._translate_errors(), self._client.stream("GET", url, headers=headers, extensions=STREAM) as response:
            yield response

    def send(self, method: str, url: str, headers: dict[str, str], content: Iterable[bytes]) -> httpx.Response:
        """One attempt to send a streamed body; no retry. A redirect is not followed: the body cannot be sent again."""
        with self._translate_errors():
            return self._client.request(method, url, headers=headers, content=content, follow_redirects=False)

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
            except UnsafeAnswer:
                raise
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
        except (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.StreamError) as error:
            raise UnsafeAnswer(self.where, f"answers what cannot be followed ({error})") from error
        except httpx.HTTPError as error:
            reason = f"does not answer ({type(error).__name__}: {error})"
            raise RegistryUnavailable(self.where, reason) from error


def _error_text(response: httpx.Response) -> str:
    """The registry's error message, with a hint how to log in."""
    try:
        errors = parse_json(response.content)["errors"]  # type: ignore[index]
        message = "; ".join(f"{error.get('code')}: {error.get('message')}" for error in errors)[:_MAX_MESSAGE]
    except (ValueError, KeyError, TypeError, AttributeError):
        message = response.reason_phrase
    message = "".join(letter if letter.isprintable() else "?" for letter in message)
    hint = " (log in with `docker login`)" if response.status_code in (401, 403) else ""
    return f"{response.request.method} {response.request.url.path} returned {response.status_code} {message}{hint}"
