"""Blobs over the distribution API: up in chunks, down in ranges, hashed on the way, going on where a connection broke."""

from __future__ import annotations

import os
from collections.abc import Generator
from functools import partial
from io import FileIO
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx

from registry.errors import Corrupt, RegistryUnavailable
from registry.files import locked
from registry.oci import Descriptor
from registry.remote.transport import ATTEMPTS, Transport
from registry.store import OnBytes
from registry.streams import BLOCK, blocks, check_file, file_digest, pump, room_for, silent

CHUNK = 64 * 2**20
_SMALL = 4 * 2**20


class Blobs:
    """The blobs of one repository."""

    def __init__(self, transport: Transport, chunk_bytes: int = CHUNK) -> None:
        self._transport = transport
        self._chunk_bytes = chunk_bytes

    def has(self, digest: str) -> bool:
        """Whether the registry has it."""
        return self._transport.ask("HEAD", f"blobs/{digest}", accept=(200, 404)).status_code == 200

    def upload(self, file: Path, on_bytes: OnBytes) -> tuple[str, int]:
        """Digest and size of a file that the registry now has. Read twice unless it had it: a blob's name comes first."""
        size = file.stat().st_size
        digest = file_digest(file)
        if self.has(digest):
            on_bytes(size)
            return digest, size
        if size <= _SMALL:
            self.put(file.read_bytes(), digest)
            on_bytes(size)
            return digest, size
        with FileIO(file) as source:
            self._send(source, digest, size, on_bytes)
        return digest, size

    def put(self, content: bytes, digest: str) -> None:
        """A small blob in one request."""
        if not self.has(digest):
            started = self._transport.ask("POST", "blobs/uploads/", accept=(202,))
            headers = {"Content-Type": "application/octet-stream"}
            url = _finishing(_location(started), digest)
            self._transport.ask("PUT", url, accept=(201,), headers=headers, content=content)

    def read(self, blob: Descriptor) -> bytes:
        """A small blob's bytes, checked."""
        parts: list[bytes] = []
        self._pump(blob, parts, silent)
        return b"".join(parts)

    def check(self, blob: Descriptor, on_bytes: OnBytes) -> None:
        """Reads every byte from the registry and keeps none."""
        self._pump(blob, None, on_bytes)

    def download(self, blob: Descriptor, folder: Path, on_bytes: OnBytes) -> Path:
        """The blob in ``folder``, checked. What an earlier attempt left is checked and gone on from.

        Raises:
            Corrupt: what the registry sent is not the blob; the file is gone.
        """
        name = blob.digest.replace(":", "-")
        target, unfinished = folder / name, folder / f"{name}.partial"
        with locked(folder / f"{name}.lock"), room_for(folder, blob.size):
            if target.exists():
                try:
                    check_file(target, blob.digest, blob.size, str(target), on_bytes)
                    return target
                except Corrupt:
                    target.unlink()
            with FileIO(unfinished, "a+") as file:
                whole = self._fill(file, blob, on_bytes)
                os.fsync(file.fileno())
            try:
                if whole is None:
                    check_file(unfinished, blob.digest, blob.size, blob.title)
                elif whole != blob.digest:
                    raise Corrupt(blob.title, expected=blob.digest, found=whole)
            except Corrupt:
                unfinished.unlink()
                raise
            unfinished.chmod(0o444)
            unfinished.replace(target)
        return target

    def _fill(self, file: FileIO, blob: Descriptor, on_bytes: OnBytes) -> str | None:
        """Appends to ``file`` until it is as long as the blob; the digest, where all of it came in one answer."""
        failures = 0
        digest = None
        while (have := file.seek(0, os.SEEK_END)) < blob.size or (digest is None and blob.size == 0):
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
            try:
                with self._transport.stream(f"blobs/{blob.digest}", headers) as answer:
                    self._found(answer, blob, (200, 206))
                    if answer.status_code == 200 and have:
                        file.truncate(0)
                        have = 0
                    came, _ = pump(answer.iter_bytes(BLOCK), file, partial(_further, on_bytes, have))
                digest = came if have == 0 else None
            except RegistryUnavailable as error:
                digest = None
                failures = 0 if file.seek(0, os.SEEK_END) > have else failures + 1
                if failures == ATTEMPTS or (error.status is not None and error.status < 500):
                    raise
        return digest

    def _found(self, answer: httpx.Response, blob: Descriptor, accept: tuple[int, ...]) -> None:
        if answer.status_code == 404:
            raise Corrupt(blob.title, expected=blob.digest, found="no such blob in the registry")
        if answer.status_code == 416:
            raise Corrupt(
                blob.title, expected=f"{blob.digest} ({blob.size:,} bytes)", found="fewer bytes in the registry"
            )
        self._transport.checked(answer, accept)

    def _pump(self, blob: Descriptor, parts: list[bytes] | None, on_bytes: OnBytes) -> None:
        """Reads a whole blob, into ``parts`` if given, and checks it."""

        def received(answer: httpx.Response) -> Generator[bytes]:
            for block in answer.iter_bytes(BLOCK):
                if parts is not None:
                    parts.append(block)
                yield block

        with self._transport.stream(f"blobs/{blob.digest}", {"Accept-Encoding": "identity"}) as answer:
            self._found(answer, blob, (200,))
            digest, size = pump(received(answer), None, on_bytes)
        if digest != blob.digest:
            raise Corrupt(blob.title, expected=blob.digest, found=f"{digest} ({size:,} bytes)")

    def _send(self, source: FileIO, digest: str, size: int, on_bytes: OnBytes) -> None:
        """After a broken connection goes on where the registry says it is; from the start if it forgot the upload."""
        sessions = 1
        url, chunk = self._started()
        done = failures = 0
        while done < size:
            try:
                answer = self._patch(url, source, done, min(done + chunk, size), on_bytes)
            except RegistryUnavailable as error:
                if _is_final(error) or failures + 1 == ATTEMPTS:
                    raise
                answer = self._transport.ask("GET", url, accept=(204, 400, 404))
            if answer.status_code in (400, 404):  # Docker's forgets an upload whose last chunk was cut
                if sessions == ATTEMPTS:
                    raise RegistryUnavailable(self._transport.where, f"forgot {sessions} uploads of {digest}")
                sessions += 1
                url, chunk = self._started()
                done = failures = 0
                continue
            url, before, done = _location(answer), done, _received(answer)
            failures = 0 if done > before else failures + 1
            if failures == ATTEMPTS:
                raise RegistryUnavailable(self._transport.where, f"takes no more than {done:,} bytes of blob {digest}")
        self._transport.ask("PUT", _finishing(url, digest), accept=(201,), headers={"Content-Length": "0"})

    def _started(self) -> tuple[str, int]:
        """A new upload's address, and how many bytes a chunk should have."""
        answer = self._transport.ask("POST", "blobs/uploads/", accept=(202,))
        return _location(answer), max(self._chunk_bytes, int(answer.headers.get("oci-chunk-min-length", 0)))

    def _patch(self, url: str, source: FileIO, start: int, end: int, on_bytes: OnBytes) -> httpx.Response:
        source.seek(start)

        def body() -> Generator[bytes]:
            sent = start
            for block in blocks(source):
                part = bytes(block[: end - sent])
                sent += len(part)
                yield part
                on_bytes(sent)
                if sent >= end:
                    return

        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(end - start),
            "Content-Range": f"{start}-{end - 1}",
        }
        return self._transport.checked(self._transport.send("PATCH", url, headers, body()), (202,))


def _further(on_bytes: OnBytes, start: int, done: int) -> None:
    on_bytes(start + done)


def _is_final(error: RegistryUnavailable) -> bool:
    """Whether sending again is of no use. 401: the token ran out; 416: the registry counts otherwise; both can be mended."""
    return error.status is not None and error.status < 500 and error.status not in (401, 416)


def _location(response: httpx.Response) -> str:
    """Where the registry wants the upload to go on."""
    return str(response.url.join(response.headers["location"]))


def _received(response: httpx.Response) -> int:
    """How many bytes the registry has: ``Range: 0-1023`` means 1024; ``0-0`` is what it says of none."""
    last = int(response.headers.get("range", "0-0").rpartition("-")[2])
    return last + 1 if last else 0


def _finishing(url: str, digest: str) -> str:
    """An upload's address with the digest added to whatever state the registry keeps in its query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), ("digest", digest)])))
