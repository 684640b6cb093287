"""Fetches a photo by URL, protected against server-side request forgery.

``outbound_hosts`` checks host and address; here: no redirects, no proxy from the environment, limits on bytes and time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence

import httpx

from service.platform.errors import FetchFailed
from service.platform.outbound_hosts import AllowedHosts, Resolve, Target, resolve
from vqc.addresses import is_public

_OFF = "fetching by URL is off; send the photo itself, or allow its host (VQC_URL_HOSTS)"


class PhotoFetcher:
    """Fetches photos from allowed hosts: exact names, or ``*.example.com`` for every name below it."""

    def __init__(
        self,
        allowed_hosts: Sequence[str],
        *,
        max_bytes: int,
        timeout_s: float = 10.0,
        resolve: Resolve = resolve,
        allowed_address: Callable[[str], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = AllowedHosts(allowed_hosts, off=_OFF, resolve=resolve, allowed_address=allowed_address)
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._tls = tls

    async def __call__(self, url: str) -> bytes:
        """The body behind ``url``.

        Raises:
            UrlRejected: the URL is not allowed; no connection was made.
            FetchFailed: the host returned no photo.
        """
        target = self._hosts.target(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._download(target, await self._hosts.address(target))
        except TimeoutError as error:
            raise FetchFailed(f"{target.host} did not return the photo within {self._timeout_s:g} s") from error
        except (httpx.HTTPError, OSError) as error:
            raise FetchFailed(f"{target.host} did not return the photo: {error or type(error).__name__}") from error

    async def _download(self, target: Target, address: str) -> bytes:
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=self._tls or True) as client,
            client.stream(
                "GET",
                target.at(address),  # the address that was checked: another look-up could return another one
                headers={"Host": target.netloc, "Accept": "image/*"},
                extensions={"sni_hostname": target.host},
            ) as response,
        ):
            if response.status_code != 200:
                raise FetchFailed(f"{target.host} returned status {response.status_code}; redirects are not followed")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._max_bytes:
                    raise FetchFailed(f"{target.host} sent more than {self._max_bytes:,} bytes")
            return bytes(body)
