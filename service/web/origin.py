"""Requests that another site's page makes through a person's browser; protects a service without keys.

Such a service trusts every program on its machine, a browser included, and a browser sends some requests for any page that it
shows. It says itself whose page that is: in ``Sec-Fetch-Site``, which no page can set; older ones only in ``Origin``.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers

from service.platform.errors import OriginRefused

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({"same-origin", "none"})
"""A page of this service, and what a person typed; ``same-site`` is any other port or subdomain."""
_PORTS = {"http": 80, "https": 443}


def check_origin(method: str, headers: Headers) -> None:
    """Raises ``OriginRefused`` if the request may change something and a page of another origin made it."""
    if method in _SAFE_METHODS:
        return
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    if any(site.strip().lower() not in _OWN_SITES for site in sites):
        raise OriginRefused("Sec-Fetch-Site", ", ".join(sites))
    # Behind a proxy that replaces Host, Origin names another host than we see: there Sec-Fetch-Site alone decides.
    if "same-origin" not in sites and not all(is_own_origin(origin, headers.get("host", "")) for origin in origins):
        raise OriginRefused("Origin", ", ".join(origins))


def is_own_origin(origin: str, host: str) -> bool:
    """Whether ``origin`` has the host and port of the ``Host`` header.

    >>> [is_own_origin(origin, "vqc.example") for origin in ("https://vqc.example", "http://VQC.example:80", "null")]
    [True, True, False]
    >>> is_own_origin("http://localhost:3000", "localhost:8080"), is_own_origin("http://[::1", "::1")
    (False, False)
    """
    try:
        page = urlsplit(origin.strip())
        here = urlsplit(f"{page.scheme}://{host.strip()}")
        default = _PORTS[page.scheme]
        return bool(page.hostname) and (page.hostname, page.port or default) == (here.hostname, here.port or default)
    except (ValueError, KeyError):
        return False
