"""Shared by the commands: the registry option, JSON output, progress bars."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from registry.values import Progress

if TYPE_CHECKING:
    from registry import Registry, Version

_F = TypeVar("_F", bound=Callable[..., object])


def registry_option(function: _F) -> _F:
    """Adds ``--registry WHERE`` (environment: ``VQC_REGISTRY``)."""
    return click.option(
        "--registry",
        "where",
        envvar="VQC_REGISTRY",
        required=True,
        show_envvar=True,
        metavar="WHERE",
        help="Directory, or oci://host[:port]/repository.",
    )(function)


def json_option(function: _F) -> _F:
    """Adds ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(function)


def registry_at(where: str) -> Registry:
    """Opens the registry at ``where``."""
    from registry import open_registry

    return open_registry(where)


def print_json(value: object) -> None:
    """Prints one JSON document on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))


def summary(version: Version, aliases: dict[str, str]) -> dict[str, object]:
    """A version as ``--json`` prints it."""
    from dataclasses import asdict

    return {
        "digest": version.digest,
        "aliases": sorted(alias for alias, digest in aliases.items() if digest == version.digest),
        "kind": version.kind,
        "base": version.base,
        "inspections": list(version.inspections),
        "size_bytes": version.size_bytes,
        "files": [{"path": file.title, "digest": file.digest, "size_bytes": file.size} for file in version.files],
        "facts": asdict(version.facts),
    }


@contextmanager
def bars(enabled: bool = True) -> Generator[Progress | None]:
    """Progress bars per file on standard error; None if it is not a terminal."""
    if not (enabled and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=Console(stderr=True)) as shown:
        tasks = {}

        def progress(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=total)
            shown.update(tasks[name], completed=done)

        yield progress
