"""Small JSON files in a folder per mission, replaced atomically."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.platform.errors import StorageFull, StorageUnavailable
from vqc.errors import InvalidValue

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def folder_of(root: Path, mission: str) -> Path:
    """The mission's folder below ``root``, which has its name.

    >>> folder_of(Path("store"), "挡风板安装检查").name
    '挡风板安装检查'

    Raises:
        InvalidValue: the mission's name cannot be a file name.
    """
    if "/" in mission or "\0" in mission or mission in {"", ".", ".."}:
        raise InvalidValue("mission", mission, "must be usable as the name of a folder")
    return root / mission


def read_json(path: Path) -> object:
    """The file's value.

    Raises:
        InvalidValue: the file cannot be read or is not JSON; the message names it.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidValue(str(path), type(error).__name__, f"must be a readable JSON file: {error}") from error


def write_json(path: Path, value: object) -> None:
    """Replaces the file atomically: a reader sees the old or the new content, never a part, even if the process is killed."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """As ``write_json``, for any text."""
    with translate_write_errors(path):
        _write_text(path, text)


@contextmanager
def translate_write_errors(path: Path) -> Iterator[None]:
    """Raises ``StorageFull`` or ``StorageUnavailable`` for an ``OSError`` of the block."""
    try:
        yield
    except OSError as error:
        kind = StorageFull if error.errno in _FULL else StorageUnavailable
        raise kind(str(path), error.strerror or str(error)) from error


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
