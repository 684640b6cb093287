"""Photo files of commands, and their names as text.

A file system's names are bytes: those out of a Windows zip are often GBK, not UTF-8.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vqc.errors import InvalidValue


def readable_name(path: Path | str) -> str:
    """The name or path as text that can be printed and stored: decoded as UTF-8, else as GBK, else with escapes.

    >>> readable_name(os.fsdecode("现场/照片1.jpg".encode("gbk")))
    '现场/照片1.jpg'
    >>> readable_name(os.fsdecode(b"caf\\xe9.jpg"))
    'caf\\\\xe9.jpg'
    """
    return "/".join(_readable(part) for part in os.fsencode(path).split(b"/"))


def escaped_name(path: Path | str) -> str:
    """The path with every byte that is not UTF-8 as an escape: two different files never share it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def read_photo(path: Path) -> bytes:
    """The file's bytes. Raises ``InvalidValue`` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidValue("photo", str(path), f"must be readable: {error.strerror or error}") from error


def find_photo(root: Path, name: str, suffixes: Iterable[str]) -> Path | None:
    """The file below ``root`` whose readable name is ``name``, alone or with one of the suffixes."""
    wanted = [f"{name}{suffix}" for suffix in suffixes]
    for one in wanted:
        if (root / one).is_file():
            return root / one
    return _below(root, [one.split("/") for one in wanted])


def _below(root: Path, wanted: list[list[str]]) -> Path | None:
    """The first file whose path has these readable parts; only folders with such names are entered."""
    if not root.is_dir():
        return None
    for entry in sorted(root.iterdir()):
        name = readable_name(entry.name)
        rests = [parts[1:] for parts in wanted if parts[0] == name]
        if [] in rests and entry.is_file():
            return entry
        if (deeper := [parts for parts in rests if parts]) and (found := _below(entry, deeper)):
            return found
    return None


def _readable(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        text = name.decode("gb18030")
    except UnicodeDecodeError:
        text = ""
    return text if text.isprintable() and text else name.decode("utf-8", "backslashreplace")
