"""From a version to a directory that vLLM opens. The directory appears whole and checked, or not at all.

    cache/versions/sha256-<hex>/   one directory a version; may be deleted when nothing runs from it
    cache/blobs/                   what a remote registry sent, shared by versions; unfinished files go on where they stopped
    cache/locks/

Weights are hard links into the store, so a version costs no second copy. The small files are copies: people edit a config.json.
"""

from __future__ import annotations

import os
import shutil
from io import FileIO
from pathlib import Path

from registry.errors import Corrupt
from registry.files import locked, sync_directory
from registry.oci import WEIGHT_TYPE, Descriptor
from registry.store import Store
from registry.streams import blocks, check_file, each, pump, reporting, room_for, silent
from registry.values import Progress
from registry.version import Version


def materialised(store: Store, version: Version, cache: Path, progress: Progress | None) -> Path:
    """The version's directory in ``cache``, every byte checked now."""
    name = version.digest.replace(":", "-")
    target = cache / "versions" / name
    with locked(cache / "locks" / name):
        if target.is_dir():
            try:
                check_directory(target, version, progress)
                return target
            except Corrupt:
                spoilt = cache / "versions" / f".{name}.spoilt"
                shutil.rmtree(spoilt, ignore_errors=True)
                target.rename(spoilt)
                shutil.rmtree(spoilt)
        return assemble(store, version, target, cache / "blobs", progress, keep_work=True)


def check_directory(directory: Path, version: Version, progress: Progress | None = None) -> None:
    """Reads every byte of a version's directory.

    Raises:
        Corrupt: the first file that is missing or changed, or one that does not belong there.
    """
    expected = {file.title for file in version.files}
    found = {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}
    for extra in sorted(found - expected):
        raise Corrupt(str(directory / extra), expected="no such file in this version", found="a file")

    def check(file: Descriptor) -> None:
        path = directory / file.title
        check_file(path, file.digest, file.size, str(path), reporting(progress, file.title, file.size))

    each(check, version.files)


def assemble(
    store: Store, version: Version, target: Path, work: Path, progress: Progress | None, *, keep_work: bool = False
) -> Path:
    """``target``, made of checked files; ``work`` holds downloads and must be on the same file system to save space."""
    partial = target.parent / f".{target.name}.{version.digest[7:19]}.new"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with room_for(target, version.size_bytes):
            partial.mkdir(parents=True)

            def place(file: Descriptor) -> None:
                on_bytes = reporting(progress, file.title, file.size)
                path = partial / file.title
                path.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(store.fetch(file, work, on_bytes), path, file)

            each(place, version.files)
            partial.chmod(0o755)
            sync_directory(partial)
            if target.is_dir():
                target.rmdir()
            partial.replace(target)
            sync_directory(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if not keep_work:
        shutil.rmtree(work, ignore_errors=True)
    return target


def link_or_copy(source: Path, path: Path, file: Descriptor) -> None:
    """Puts a checked file at ``path``: weights as a hard link where possible, else a copy that is checked on the way."""
    if file.media_type == WEIGHT_TYPE:
        try:
            os.link(source, path)
            return
        except OSError:  # another file system, or another owner's file: a copy is as good
            path.unlink(missing_ok=True)
    with FileIO(source) as origin, FileIO(path, "x") as copy:
        digest, _ = pump(blocks(origin), copy, silent)
        os.fsync(copy.fileno())
    if digest != file.digest:
        raise Corrupt(file.title, expected=file.digest, found=digest)
