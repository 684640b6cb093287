"""An OCI registry in memory, behind an HTTP client's transport: every request can be counted, cut off or answered otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import httpx

from registry import Registry
from registry.oci import INDEX_TYPE, digest_of
from registry.remote.store import RemoteStore
from registry.remote.transport import Transport

HOST, NAME = "127.0.0.1:1", "vqc"
_PATH = re.compile(rf"/v2/{NAME}/(?P<kind>blobs/uploads|blobs|manifests|referrers|tags)/(?P<name>.*)")


class Died(BaseException):
    """The process that sends the requests has died."""


class MemoryRegistry:
    """One repository. ``has_referrers`` is whether it has the referrers API; ``page`` the length of its pages."""

    def __init__(self, *, has_referrers: bool = True, page: int = 1000) -> None:
        self.has_referrers = has_referrers
        self.page = page
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.uploads = 0
        self.parts: dict[str, bytes] = {}
        """Uploads that are not finished, by path."""
        self.requests: list[str] = []
        self._dies_at: int | None = None

    def copy(self) -> MemoryRegistry:
        """Another registry with the same content."""
        other = MemoryRegistry(has_referrers=self.has_referrers, page=self.page)
        other.blobs, other.manifests, other.tags = dict(self.blobs), dict(self.manifests), dict(self.tags)
        return other

    def open(self) -> Registry:
        """The registry as a process sees it that starts now."""
        return Registry(RemoteStore(Transport(HOST, NAME, inner=httpx.MockTransport(self))))

    def runs_until(self, at: int, work: Callable[[Registry], object]) -> bool:
        """Runs ``work`` in a process that dies when its request number ``at`` was carried out; False if it made fewer."""
        self.requests = []
        self._dies_at = at
        try:
            work(self.open())
        except Died:
            return True
        finally:
            self._dies_at = None
        return False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.raw_path.decode()}")
        answer = self._answer(request, request.read())
        if self._dies_at is not None and len(self.requests) >= self._dies_at:
            raise Died
        return answer

    def _answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        parts = _PATH.fullmatch(request.url.path)
        if parts is None:
            return httpx.Response(404)
        kind, name = parts["kind"], parts["name"]
        if kind == "blobs/uploads":
            return self._upload(request, body)
        if kind == "blobs":
            return self._content(request, self.blobs.get(name))
        if kind == "tags":
            return self._page(request, sorted(self.tags), lambda page: {"name": NAME, "tags": page})
        if kind == "referrers":
            if not self.has_referrers:
                return httpx.Response(404)
            return self._page(request, self._referrers(name), lambda page: _index(page))
        if request.method == "PUT":
            return self._put_manifest(name, body)
        return self._content(request, self.manifests.get(self.tags.get(name, name)))

    def _upload(self, request: httpx.Request, body: bytes) -> httpx.Response:
        if request.method == "POST":
            self.uploads += 1
            return httpx.Response(202, headers={"Location": f"/v2/{NAME}/blobs/uploads/{self.uploads}?state=x"})
        if request.method == "PATCH":
            stored = self.parts[request.url.path] = self.parts.get(request.url.path, b"") + body
            headers = {"Location": str(request.url), "Range": f"0-{len(stored) - 1}"}
            return httpx.Response(202, headers=headers)
        digest = request.url.params.get("digest", "")
        body = self.parts.pop(request.url.path, b"") + body
        if digest_of(body) != digest:
            return httpx.Response(400)
        self.blobs[digest] = body
        return httpx.Response(201)

    def _put_manifest(self, name: str, body: bytes) -> httpx.Response:
        digest = digest_of(body)
        self.manifests[digest] = body
        if name != digest:
            self.tags[name] = digest
        subject = json.loads(body).get("subject")
        headers = {"OCI-Subject": subject["digest"]} if subject and self.has_referrers else {}
        return httpx.Response(201, headers=headers)

    def _referrers(self, subject: str) -> list[dict[str, object]]:
        found = []
        for digest, content in self.manifests.items():
            manifest = json.loads(content)
            if (manifest.get("subject") or {}).get("digest") == subject:
                kind = manifest.get("artifactType")
                found.append(
                    {"mediaType": manifest["mediaType"], "digest": digest, "size": len(content), "artifactType": kind}
                )
        return found

    def _page(
        self, request: httpx.Request, items: list, document: Callable[[list], dict[str, object]]
    ) -> httpx.Response:
        start = int(request.url.params.get("last", "0"))
        end = start + self.page
        more = {"Link": f'<{request.url.path}?last={end}>; rel="next"'} if end < len(items) else {}
        return httpx.Response(200, json=document(items[start:end]), headers=more)

    def _content(self, request: httpx.Request, content: bytes | None) -> httpx.Response:
        if content is None:
            return httpx.Response(404)
        headers = {"Docker-Content-Digest": digest_of(content)}
        if request.method == "HEAD":
            return httpx.Response(200, headers=headers)
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(content))


def _index(manifests: list) -> dict[str, object]:
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
