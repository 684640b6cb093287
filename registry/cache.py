"""Materialises a version as a directory that vLLM opens. The directory appears complete and verified, or not at all.

    cache/versions/sha256-<hex>/   one directory per version; may be deleted when no process uses it
    cache/blobs/                   downloads from a remote registry, shared by versions; unfinished files are resumed
    cache/locks/

Weights are hard links into the store, so a version needs no second copy. Small files are copies, because people edit
a config.json.
"""

from __future__ import annotations

import os
import shutil
from io import FileIO
from pathlib import Path

from registry.checkpoint_files import is_code, is_pickle
from registry.errors import Corrupt
from registry.files import file_lock
from registry.oci import WEIGHT_TYPE, Descriptor
from registry.store import Store
from registry.streams import (
    blocks,
    check_file,
    copy_and_hash,
    file_progress,
    ignore_progress,
    map_in_threads,
    translate_no_space,
)
from registry.values import Progress
from registry.version import Version
from vqc.durable import sync_directory


def materialise(store: Store, version: Version, cache: Path, progress: Progress | None) -> Path:
    """The version's directory in ``cache``, with every byte verified by this call."""
    check_kinds(version)
    name = version.digest.replace(":", "-")
    target = cache / "versions" / name
    with file_lock(cache / "locks" / name):
        if target.is_symlink():
            target.unlink()
        if target.is_dir():
            try:
                check_directory(target, version, progress)
                return target
            except Corrupt:
                # Renamed first: no reader may find a half-deleted directory under the version's name.
                corrupt = cache / "versions" / f".{name}.corrupt"
                shutil.rmtree(corrupt, ignore_errors=True)
                target.rename(corrupt)
                shutil.rmtree(corrupt)
        return assemble(store, version, target, cache / "blobs", progress, keep_work=True)


def check_kinds(version: Version) -> None:
    """Raises Corrupt for a version with code or pickles: another tool pushed it, and loading it could run them."""
    for file in version.files:
        if is_code(file.title) or is_pickle(file.title):
            kind = "code" if is_code(file.title) else "a pickle"
            raise Corrupt(version.digest, expected="weights and settings only", found=f"{file.title}, which is {kind}")


def check_directory(directory: Path, version: Version, progress: Progress | None = None) -> None:
    """Reads and verifies every byte of a version's directory.

    Raises:
        Corrupt: the first file that is missing, changed or unexpected.
    """
    expected = {file.title for file in version.files}
    found = {
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_symlink() or not path.is_dir()
    }
    for extra in sorted(found - expected):
        raise Corrupt(str(directory / extra), expected="no such file in this version", found="a file")

    def check(file: Descriptor) -> None:
        path = directory / file.title
        check_file(path, file.digest, file.size, str(path), file_progress(progress, file.title, file.size))

    map_in_threads(check, version.files)


def assemble(
    store: Store, version: Version, target: Path, work: Path, progress: Progress | None, *, keep_work: bool = False
) -> Path:
    """Builds ``target`` from verified files and returns it.

    ``work`` holds downloads; weights can only be hard-linked if it is on the same file system as ``target``.
    """
    check_kinds(version)
    partial = target.parent / f".{target.name}.{version.digest[7:19]}.new"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with translate_no_space(target, version.size_bytes):
            partial.mkdir(parents=True)

            def place(file: Descriptor) -> None:
                on_bytes = file_progress(progress, file.title, file.size)
                path = partial / file.title
                path.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(store.fetch(file, work, on_bytes), path, file)

            map_in_threads(place, version.files)
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
    """Places a verified file at ``path``: weights as a hard link where possible, otherwise a copy that is hashed on the way."""
    if file.media_type == WEIGHT_TYPE:
        try:
            os.link(source, path)
            return
        except OSError:  # another file system, or the kernel protects links to another user's file
            path.unlink(missing_ok=True)
    with FileIO(source) as origin, FileIO(path, "x") as copy:
        digest, _ = copy_and_hash(blocks(origin), copy, ignore_progress)
        os.fsync(copy.fileno())
    if digest != file.digest:
        raise Corrupt(file.title, expected=file.digest, found=digest)
