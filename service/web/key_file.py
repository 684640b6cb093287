"""The key file: a YAML list of ``{id, name?, sha256, scopes, created_at?, expires_at?, rate_per_minute?, quota_per_day?}``.

``vqc keys`` writes it. Every process reads it again when it has changed: a key is valid, or not, from the next request on.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time_ns
from typing import Any

import structlog
import yaml
from pydantic import TypeAdapter, ValidationError

from service.web.auth import ApiKey, Scope, secret_digest
from vqc.durable import sync_directory
from vqc.errors import InvalidValue

_Version = tuple[int, int, int]
_CLOCK_STEP_NS = 1_000_000_000
_log = structlog.get_logger("vqc")


class KeyFile:
    """Returns the keys of a file by their id. While the file is missing or invalid, the keys are those of before.

    ``on_change`` is called with ``file`` and the ids that were ``added`` and ``removed``.

    Raises:
        InvalidValue: the file cannot be read at the start.
    """

    def __init__(self, path: Path, on_change: Callable[..., None] = lambda **change: None) -> None:
        self._path = path
        self._on_change = on_change
        self._version = _version_of(path)
        self._content = _content_of(path)
        self._keys = {key.id: key for key in _parse(path, self._content)}

    def __call__(self) -> Mapping[str, ApiKey]:
        """The keys at this moment."""
        # Looked at for each request: this takes 4 µs, and a revoked key must not be valid for one request more.
        version = _version_of(self._path)
        if version != self._version or (version is not None and _may_change_unseen(version)):
            self._version = version
            self._read_again()
        return self._keys

    def _read_again(self) -> None:
        try:
            content = _content_of(self._path)
            if content == self._content:
                return
            self._content = content  # remembered before it is read, so that a broken file is reported once
            keys = {key.id: key for key in _parse(self._path, content)}
        except InvalidValue as error:
            _log.error("api_keys_file_invalid", path=str(self._path), error=str(error))
            return
        added, removed = sorted(keys.keys() - self._keys.keys()), sorted(self._keys.keys() - keys.keys())
        self._keys = keys
        _log.info("api_keys_changed", keys=len(keys), added=added, removed=removed)
        self._on_change(file=str(self._path), added=added, removed=removed)


def read_keys(path: Path) -> list[ApiKey]:
    """The keys of a key file. Raises ``InvalidValue`` that names the file."""
    return _parse(path, _content_of(path))


def _content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidValue("api_keys_file", str(path), f"must be a readable key file: {error}") from error


def _parse(path: Path, content: bytes) -> list[ApiKey]:
    try:
        keys = TypeAdapter(list[ApiKey]).validate_python(yaml.safe_load(content.decode("utf-8-sig")) or [])
    except (UnicodeError, yaml.YAMLError, ValidationError) as error:
        raise InvalidValue("api_keys_file", str(path), f"must be a readable key file: {error}") from error
    if len({key.id for key in keys}) < len(keys):
        raise InvalidValue("api_keys_file", str(path), "must name each key id once")
    return keys


def create_key(
    path: Path,
    scopes: Iterable[Scope],
    expires_at: datetime | None,
    *,
    name: str = "",
    rate_per_minute: int | None = None,
    quota_per_day: int | None = None,
) -> str:
    """Adds a new key to the file, which is created with mode 0600. The returned text is the only copy of the secret."""
    token, key = _new_key(
        name=name.strip(),
        scopes=frozenset(scopes),
        expires_at=expires_at,
        rate_per_minute=rate_per_minute,
        quota_per_day=quota_per_day,
    )
    _change(path, lambda keys: [*keys, key])
    return token


def revoke_key(path: Path, key_id: str) -> ApiKey:
    """Removes a key from the file and returns it. Raises ``InvalidValue`` for an unknown id."""
    removed = None

    def remove(keys: Sequence[ApiKey]) -> list[ApiKey]:
        nonlocal removed
        removed = _key_of(keys, key_id)
        return [key for key in keys if key is not removed]

    _change(path, remove)
    assert removed is not None
    return removed


def rotate_key(path: Path, key_id: str, overlap: timedelta) -> str:
    """Adds a key with the holder, scopes and expiry of an old one, which expires after ``overlap``; without it at once.

    Returns the new key. Raises ``InvalidValue`` for an id that is unknown or has expired.
    """
    token = ""

    def replace_key(keys: Sequence[ApiKey]) -> list[ApiKey]:
        nonlocal token
        old = _key_of(keys, key_id)
        if old.expires_at is not None and old.expires_at <= datetime.now(UTC):
            raise InvalidValue("key id", key_id, "must not have expired; create a new key instead")
        token, new = _new_key(**old.model_dump(exclude={"id", "sha256", "created_at"}))
        end = datetime.now(UTC) + overlap
        kept = old.model_copy(update={"expires_at": min(end, old.expires_at or end)})
        return [new if key is old else key for key in keys] + ([kept] if overlap else [])

    _change(path, replace_key)
    return token


def _new_key(**fields: Any) -> tuple[str, ApiKey]:
    key_id = secrets.token_hex(4)
    token = f"vqc_{key_id}_{secrets.token_urlsafe(24)}"
    created_at = datetime.now(UTC).replace(microsecond=0)
    return token, ApiKey(id=key_id, sha256=secret_digest(token), created_at=created_at, **fields)


def _key_of(keys: Sequence[ApiKey], key_id: str) -> ApiKey:
    for key in keys:
        if key.id == key_id:
            return key
    raise InvalidValue(
        "key id", key_id, f"must be one of: {', '.join(key.id for key in keys) or 'the file has no key'}"
    )


def _change(path: Path, change: Callable[[Sequence[ApiKey]], Sequence[ApiKey]]) -> None:
    """Replaces the file's keys. Writers wait for each other; a reader sees the old or the new file, never a part."""
    path = path.resolve()  # a link keeps its target
    with _lock(path):
        keys = change(read_keys(path) if path.exists() else [])
        lines = [key.model_dump(mode="json", exclude_none=True, exclude_defaults=True) for key in keys]
        _replace(path, yaml.safe_dump(lines, sort_keys=False, allow_unicode=True))


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    # A file of its own: the key file is replaced, and a lock on the old one would keep no one out. It stays, because a
    # waiting process holds it open; the kernel unlocks it when its process ends.
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        with suppress(FileNotFoundError):
            before = path.stat()
            os.fchmod(file.fileno(), before.st_mode & 0o777)
            with suppress(PermissionError):  # the owner may be another user, which the service runs as
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_directory(path.parent)


def _version_of(path: Path) -> _Version | None:
    """What changes with the file; None while it is missing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _may_change_unseen(version: _Version) -> bool:
    """Whether the file was changed so recently that another change would leave its time as it is (it has steps of some ms)."""
    return abs(time_ns() - version[2]) < _CLOCK_STEP_NS
