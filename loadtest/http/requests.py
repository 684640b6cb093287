"""Where requests go, requests as ready bytes, and the check of a caption response."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from vqc.errors import InvalidValue

_BOUNDARY: Final = b"vqc-bench-5f0c2a7d"


class Body(StrEnum):
    """How a request carries its photo."""

    MULTIPART = "multipart"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The measured server, at host and port or on the Unix socket ``uds``; ``api_key`` is None if it needs none."""

    host: str
    port: int
    api_key: str | None = None
    uds: str | None = None

    @classmethod
    def from_url(cls, url: str, api_key: str | None = None) -> Target:
        """The target behind a base URL.

        >>> Target.from_url("http://127.0.0.1:8080")
        Target(host='127.0.0.1', port=8080, api_key=None, uds=None)

        Raises:
            InvalidValue: anything but ``http://host[:port]`` or ``unix:///path``.
        """
        if url.startswith("unix:///"):
            return cls(host="localhost", port=80, api_key=api_key, uds=url.removeprefix("unix://"))
        valid = "must be http://host[:port] without a path, or unix:///path"
        try:
            parts = urlsplit(url)
            port = parts.port or 80
        except ValueError as error:
            raise InvalidValue("url", url, f"{valid}: {error}") from error
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise InvalidValue("url", url, valid)
        return cls(host=parts.hostname, port=port, api_key=api_key)

    def head(self, method: str, path: str, **headers: str | int) -> bytes:
        """The head of a request, with its empty line. ``Content_Type=…`` sets the header Content-Type."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        if self.api_key:
            lines.append(f"Authorization: Bearer {self.api_key}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def post_json(self, path: str, document: object, accept: str = "application/json") -> bytes:
        """A POST of a JSON document."""
        return self._post(path, json.dumps(document, ensure_ascii=False).encode(), "application/json", accept)

    def post_multipart(self, path: str, parts: Sequence[bytes], accept: str = "application/json") -> bytes:
        """A multipart POST; each part has its own head."""
        content = b"".join([*(b"--%b\r\n%b\r\n" % (_BOUNDARY, part) for part in parts), b"--%b--\r\n" % _BOUNDARY])
        return self._post(path, content, f"multipart/form-data; boundary={_BOUNDARY.decode()}", accept)

    def post_bytes(self, path: str, document: bytes) -> bytes:
        """A POST of encoded JSON."""
        return self._post(path, document, "application/json", "application/json")

    def _post(self, path: str, content: bytes, content_type: str, accept: str) -> bytes:
        head = self.head("POST", path, Accept=accept, Content_Type=content_type, Content_Length=len(content))
        return head + content


def form_field(name: str, value: str) -> bytes:
    """A text field of a multipart body."""
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()


def file_part(name: str, filename: str, jpeg: bytes) -> bytes:
    """A photo of a multipart body."""
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: image/jpeg\r\n\r\n'
    return head.encode() + jpeg


def caption_request(
    target: Target, jpeg: bytes, body: Body, *, accept: str = "application/json", max_new_tokens: int | None = None
) -> bytes:
    """A ``POST /caption`` with its photo."""
    path = "/caption" if max_new_tokens is None else f"/caption?max_new_tokens={max_new_tokens}"
    if body is Body.JSON:
        return target.post_json(path, {"photo": {"base64": base64.b64encode(jpeg).decode("ascii")}}, accept)
    return target.post_multipart(path, [file_part("photo", "photo.jpg", jpeg)], accept)


def caption_problem(body: bytes) -> str | None:
    """Why a response body is not a valid caption; None if it is."""
    from vqc.parser import parse

    try:
        document = json.loads(body)
    except ValueError as error:
        return f"not JSON: {error}"
    caption = document.get("caption") if isinstance(document, dict) else None
    if not isinstance(caption, dict):
        return f"no 'caption' object in {body[:200]!r}"
    outcome = parse(json.dumps(caption, ensure_ascii=False))
    if outcome.caption is None or len(outcome.caption.objects) != len(caption):
        return f"not a dense caption: {'; '.join(outcome.notes)}"
    return None
