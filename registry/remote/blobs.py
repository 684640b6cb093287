"""Blob transfer over the distribution API: chunked uploads, ranged downloads, hashed in transit and resumed after failures."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterable
from functools import partial
from io import FileIO
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx

from registry.errors import Corrupt, RegistryUnavailable, UnsafeAnswer
from registry.files import file_lock
from registry.oci import Descriptor
from registry.remote.transport import ATTEMPTS, Transport
from registry.store import OnBytes
from registry.streams import (
    BLOCK,
    blocks,
    check_file,
    check_size,
    copy_and_hash,
    file_digest,
    ignore_progress,
    translate_no_space,
)

CHUNK = 64 * 2**20
_SMALL = 4 * 2**20
_COUNT = re.compile(r"[0-9]{1,15}")


class Blobs:
    """The blobs of one repository."""

    def __init__(self, transport: Transport, chunk_bytes: int = CHUNK) -> None:
        self._transport = transport
        self._chunk_bytes = chunk_bytes

    def has(self, digest: str) -> bool:
        """Whether the registry has this blob."""
        return self._transport.request("HEAD", f"blobs/{digest}", accept=(200, 404)).status_code == 200

    def upload(self, file: Path, on_bytes: OnBytes) -> tuple[str, int]:
        """Uploads a file unless the registry has it; returns its digest and size.

        A new file is read twice, because the request needs its digest first.
        """
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
            self._upload_chunks(source, digest, size, on_bytes)
        return digest, size

    def put(self, content: bytes, digest: str) -> None:
        """Uploads a small blob in one request, unless the registry has it."""
        if not self.has(digest):
            started = self._transport.request("POST", "blobs/uploads/", accept=(202,))
            headers = {"Content-Type": "application/octet-stream"}
            url = _closing_url(self._location(started), digest)
            self._transport.request("PUT", url, accept=(201,), headers=headers, content=content)

    def read(self, blob: Descriptor) -> bytes:
        """A small blob's bytes, verified. Raises ``Corrupt``, also for a blob that is too large to be read into memory."""
        check_size(blob)
        parts: list[bytes] = []
        self._read_and_check(blob, parts, ignore_progress)
        return b"".join(parts)

    def check(self, blob: Descriptor, on_bytes: OnBytes) -> None:
        """Reads and verifies every byte of a blob without storing it."""
        self._read_and_check(blob, None, on_bytes)

    def download(self, blob: Descriptor, folder: Path, on_bytes: OnBytes) -> Path:
        """Downloads a blob into ``folder`` and verifies it, resuming an earlier attempt.

        Raises:
            Corrupt: the registry sent other bytes; the partial file was deleted.
        """
        name = blob.digest.replace(":", "-")
        target, unfinished = folder / name, folder / f"{name}.partial"
        with file_lock(folder / f"{name}.lock"), translate_no_space(folder, blob.size):
            if target.exists():
                try:
                    check_file(target, blob.digest, blob.size, str(target), on_bytes)
                    return target
                except Corrupt:
                    target.unlink()
            with FileIO(unfinished, "a+") as file:
                try:
                    digest = self._download_rest(file, blob, on_bytes)
                except Corrupt:
                    unfinished.unlink()
                    raise
                os.fsync(file.fileno())
            try:
                if digest is None:
                    check_file(unfinished, blob.digest, blob.size, blob.title)
                elif digest != blob.digest:
                    raise Corrupt(blob.title, expected=blob.digest, found=digest)
            except Corrupt:
                unfinished.unlink()
                raise
            unfinished.chmod(0o444)
            unfinished.replace(target)
        return target

    def _download_rest(self, file: FileIO, blob: Descriptor, on_bytes: OnBytes) -> str | None:
        """Appends to ``file`` until it has the blob's size; returns the digest if one response carried all of it."""
        failures = short = 0
        digest = None
        while (have := file.seek(0, os.SEEK_END)) < blob.size or (digest is None and blob.size == 0):
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
            try:
                with self._transport.stream(f"blobs/{blob.digest}", headers) as answer:
                    self._check_status(answer, blob, (200, 206))
                    if answer.status_code == 200 and have:  # the server ignored the range and sends from the start
                        file.truncate(0)
                        have = 0
                    parts = _limit_size(answer.iter_raw(BLOCK), blob, blob.size - have)
                    received, count = copy_and_hash(parts, file, partial(_report_from, on_bytes, have))
                # A whole answer that is too short: from the start, or again and again, it will not get longer.
                short += have + count < blob.size
                if have + count < blob.size and (have == 0 or short > ATTEMPTS + blob.size // BLOCK):
                    raise Corrupt(blob.title, expected=f"{blob.digest} ({blob.size:,} bytes)", found=f"{count:,} bytes")
                digest = received if have == 0 else None
            except RegistryUnavailable as error:
                digest = None
                # Progress resets the count: a slow line may break any number of times, a dead one only ``ATTEMPTS``.
                failures = 0 if file.seek(0, os.SEEK_END) >= have + BLOCK else failures + 1
                unsafe = isinstance(error, UnsafeAnswer)
                if failures == ATTEMPTS or unsafe or (error.status is not None and error.status < 500):
                    raise
        return digest

    def _check_status(self, answer: httpx.Response, blob: Descriptor, accept: tuple[int, ...]) -> None:
        if answer.status_code == 404:
            raise Corrupt(blob.title, expected=blob.digest, found="no such blob in the registry")
        if answer.status_code == 416:
            raise Corrupt(
                blob.title, expected=f"{blob.digest} ({blob.size:,} bytes)", found="fewer bytes in the registry"
            )
        self._transport.require_status(answer, accept)

    def _read_and_check(self, blob: Descriptor, parts: list[bytes] | None, on_bytes: OnBytes) -> None:
        """Reads and verifies a whole blob, collecting its blocks in ``parts`` if given."""

        def read_blocks(answer: httpx.Response) -> Generator[bytes]:
            for block in _limit_size(answer.iter_raw(BLOCK), blob, blob.size):
                if parts is not None:
                    parts.append(block)
                yield block

        with self._transport.stream(f"blobs/{blob.digest}", {"Accept-Encoding": "identity"}) as answer:
            self._check_status(answer, blob, (200,))
            digest, size = copy_and_hash(read_blocks(answer), None, on_bytes)
        if digest != blob.digest:
            raise Corrupt(blob.title, expected=blob.digest, found=f"{digest} ({size:,} bytes)")

    def _upload_chunks(self, source: FileIO, digest: str, size: int, on_bytes: OnBytes) -> None:
        """Uploads in chunks. After a broken connection it resumes at the registry's offset, or restarts a forgotten upload."""
        sessions = 1
        url, chunk = self._start_upload()
        done = failures = best = 0
        # Every response carries the URL and the offset for the next chunk. The offset is the registry's, not ours: after
        # a broken connection it may have stored a part of the chunk, or none of it.
        while done < size:
            try:
                answer = self._patch(url, source, done, min(done + chunk, size), on_bytes)
            except RegistryUnavailable as error:
                if _is_final(error) or failures + 1 == ATTEMPTS:
                    raise
                answer = self._transport.request("GET", url, accept=(204, 400, 404))
            if answer.status_code in (400, 404):  # Docker's registry forgets an upload whose last chunk was truncated
                if sessions == ATTEMPTS:
                    raise RegistryUnavailable(self._transport.where, f"lost {sessions} uploads of {digest}")
                sessions += 1
                url, chunk = self._start_upload()
                done = failures = best = 0
                continue
            url, done = self._location(answer), _received_bytes(answer)
            failures = 0 if done >= min(best + BLOCK, size) else failures + 1
            best = max(best, done)
            if failures == ATTEMPTS:
                raise RegistryUnavailable(self._transport.where, f"accepts only {done:,} bytes of blob {digest}")
        self._transport.request("PUT", _closing_url(url, digest), accept=(201,), headers={"Content-Length": "0"})

    def _start_upload(self) -> tuple[str, int]:
        """Starts an upload; returns its URL and the chunk size in bytes."""
        answer = self._transport.request("POST", "blobs/uploads/", accept=(202,))
        minimum = answer.headers.get("oci-chunk-min-length", "")
        return self._location(answer), max(self._chunk_bytes, int(minimum) if _COUNT.fullmatch(minimum) else 0)

    def _location(self, answer: httpx.Response) -> str:
        """The URL at which the upload continues."""
        return str(self._transport.join(answer, answer.headers.get("location", "")))

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
        return self._transport.require_status(self._transport.send("PATCH", url, headers, body()), (202,))


def _limit_size(source: Iterable[bytes], blob: Descriptor, size: int) -> Generator[bytes]:
    """Yields the blocks of ``source``; raises ``Corrupt`` before it yields a byte beyond ``size``."""
    left = size
    for block in source:
        left -= len(block)
        if left < 0:
            raise Corrupt(blob.title, expected=f"{blob.digest} ({blob.size:,} bytes)", found="more bytes")
        yield block


def _report_from(on_bytes: OnBytes, start: int, done: int) -> None:
    on_bytes(start + done)


def _is_final(error: RegistryUnavailable) -> bool:
    """Whether a retry is useless. Not after 401 (the token expired) or 416 (the registry expects another offset)."""
    if isinstance(error, UnsafeAnswer):
        return True
    return error.status is not None and error.status < 500 and error.status not in (401, 416)


def _received_bytes(response: httpx.Response) -> int:
    """The number of bytes stored so far: ``Range: 0-1023`` means 1024, and ``0-0`` means none."""
    last = response.headers.get("range", "0-0").rpartition("-")[2]
    return int(last) + 1 if _COUNT.fullmatch(last) and int(last) else 0


def _closing_url(url: str, digest: str) -> str:
    """The upload's URL with the digest added to the query that the registry put there."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), ("digest", digest)])))
