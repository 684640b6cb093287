"""The files of a Stage-A run: its photos, and the lines that are written already."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from service.cli.file_names import escaped_name, readable_name
from vqc.errors import InvalidValue
from vqc.image import SUFFIXES
from vqc.json_lines import records_in

_TWINS = {".heic", ".heif", ".avif"}


def photos_below(directory: Path) -> dict[str, Path]:
    """The photos below a directory by image id (the relative path without suffix, as text), naturally sorted.

    A HEIC or AVIF photo beside another of the same name, as phones export them, keeps its suffix in its id.

    Raises:
        InvalidValue: no such directory, no photos in it, or two photos with one id.
    """
    if not directory.is_dir():
        raise InvalidValue("directory", str(directory), "must be an existing directory")
    paths = (path for path in directory.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    found: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: _order(path.relative_to(directory))):
        inside = path.relative_to(directory)
        image_id = readable_name(inside.with_suffix(""))
        if image_id in found and path.suffix.lower() in _TWINS:
            image_id = readable_name(inside)
        if image_id in found and image_id != inside.with_suffix("").as_posix():
            image_id = escaped_name(inside)  # two names of other bytes that read the same
        if image_id in found:
            raise InvalidValue("directory", str(path), f"has the same image id as {found[image_id].name!r}; rename one")
        found[image_id] = path
    if not found:
        raise InvalidValue("directory", str(directory), f"must contain photos ({', '.join(sorted(SUFFIXES))})")
    return found


def read_done(output: Path) -> set[str]:
    """The image ids that an earlier run wrote. An incomplete last line is removed from the file.

    Raises:
        InvalidValue: the folder does not exist, or a line has another format.
    """
    if not output.parent.is_dir():
        raise InvalidValue("output", str(output), "its folder must exist")
    if not output.exists():
        return set()
    data = output.read_bytes()
    complete = data[: data.rfind(b"\n") + 1]
    done = set()
    for number, line in records_in(complete):
        try:
            entry = json.loads(line)
            done.add(str(entry["image_id"]))
            entry["summary"]
        except (ValueError, KeyError, TypeError) as error:
            place = f"{output}:{number}"
            raise InvalidValue(
                "output", place, 'must be a line {"image_id": …, "summary": …}, or name a new file'
            ) from error
    if complete != data:
        os.truncate(output, len(complete))
    return done


def _order(inside: Path) -> tuple[list[tuple[int, int | str]], bool, str]:
    """Sort key: natural by id, the twin last."""
    return _natural(inside.with_suffix("").as_posix()), inside.suffix.lower() in _TWINS, inside.suffix


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key under which img2 comes before IMG10."""
    return [(0, int(part)) if part.isdigit() else (1, part.lower()) for part in re.split(r"([0-9]+)", name) if part]
