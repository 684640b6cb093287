"""``guidance push | list | pull``: the guidance of Stage-B missions, kept beside the models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.cli.options import json_option, opened, print_json, registry_option
from registry.cli.promote import named
from vqc.errors import InvalidValue

if TYPE_CHECKING:
    from registry.guidance import GuidanceVersion


@click.group()
def guidance() -> None:
    """Keep versions of missions' guidance; `promote` and `rollback` take guidance/MISSION as the alias."""


@guidance.command("push")
@click.argument("file", type=click.Path(path_type=Path))
@registry_option
@json_option
def push(file: Path, where: str, as_json: bool) -> None:
    """Make FILE (the service's guidance.json or a snapshot of it) a version; prints its digest."""
    from registry.guidance import push_guidance

    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidValue("file", str(file), f"must be a readable file: {error.strerror}") from error
    version = push_guidance(opened(where), content)
    if as_json:
        print_json(_shown(version, {}))
    else:
        click.echo(version.digest)


@guidance.command("list")
@click.option("--mission", metavar="NAME", help="Only this mission's.")
@registry_option
@json_option
def list_guidance(mission: str | None, where: str, as_json: bool) -> None:
    """Every version, by mission and step; * is in force."""
    from registry.guidance import guidance_versions

    registry = opened(where)
    aliases = registry.store.aliases()
    found = [_shown(version, aliases) for version in guidance_versions(registry, mission)]
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
    """Write VERSION (a digest or guidance/MISSION) to the file OUT, which must not exist."""
    from registry.guidance import guidance_version

    record = guidance_version(opened(where), named(version)).record
    try:
        with out.open("xb") as file:
            file.write(record)
    except FileExistsError as error:
        raise InvalidValue("out", str(out), "name a file that does not exist") from error
    click.echo(out)


def _shown(version: GuidanceVersion, aliases: dict[str, str]) -> dict[str, object]:
    from registry.guidance import guidance_alias

    document: dict[str, object] = {key: value for key, value in asdict(version).items() if key != "record"}
    return document | {"in_force": aliases.get(guidance_alias(version.mission)) == version.digest}
