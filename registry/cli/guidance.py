"""``guidance push | list | pull``: the guidance of Stage-B missions, stored beside the models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.cli.options import json_option, print_json, registry_at, registry_option
from registry.cli.promote import registry_ref
from vqc.errors import InvalidValue

if TYPE_CHECKING:
    from registry.guidance import GuidanceVersion


@click.group()
def guidance() -> None:
    """Store versions of missions' guidance; `promote` and `rollback` accept the alias guidance/MISSION."""


@guidance.command("push")
@click.argument("file", type=click.Path(path_type=Path))
@registry_option
@json_option
def push(file: Path, where: str, as_json: bool) -> None:
    """Store FILE (the service's guidance.json or a snapshot of it) as a version; prints its digest."""
    from registry.guidance import push_guidance

    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidValue("file", str(file), f"must be a readable file: {error.strerror}") from error
    version = push_guidance(registry_at(where), content)
    if as_json:
        print_json(_document(version, {}))
    else:
        click.echo(version.digest)


@guidance.command("list")
@click.option("--mission", metavar="NAME", help="Only this mission.")
@registry_option
@json_option
def list_guidance(mission: str | None, where: str, as_json: bool) -> None:
    """List the versions by mission and step; * marks the active one."""
    from registry.guidance import guidance_versions

    registry = registry_at(where)
    aliases = registry.store.aliases()
    found = [_document(version, aliases) for version in guidance_versions(registry, mission)]
    if as_json:
        print_json(found)
        return
    for version in found:
        click.echo(
            f"{'*' if version['in_force'] else ' '} {version['digest']}  {version['mission']}  step {version['step']}"
        )


@guidance.command("pull")
@click.argument("version")
@click.argument("out", type=click.Path(path_type=Path))
@registry_option
def pull(version: str, out: Path, where: str) -> None:
    """Write VERSION (a digest or guidance/MISSION) to OUT, a new file."""
    from registry.guidance import guidance_version

    record = guidance_version(registry_at(where), registry_ref(version)).record
    try:
        with out.open("xb") as file:
            file.write(record)
    except FileExistsError as error:
        raise InvalidValue("out", str(out), "must not exist yet") from error
    click.echo(out)


def _document(version: GuidanceVersion, aliases: dict[str, str]) -> dict[str, object]:
    from registry.guidance import guidance_alias

    document: dict[str, object] = {key: value for key, value in asdict(version).items() if key != "record"}
    return document | {"in_force": aliases.get(guidance_alias(version.mission)) == version.digest}
