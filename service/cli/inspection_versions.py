"""``vqc inspection push | list | pull | activate | rollback``: versions of inspections in the registry."""

from __future__ import annotations

from pathlib import Path

import click

from registry.cli.options import registry_at, registry_option
from vqc.errors import InvalidValue

_reason = click.option("--reason", default="", help="Recorded in the registry's log.")
_actor = click.option("--actor", metavar="NAME", help="Recorded in the registry's log. [default: user@host]")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--activate", "makes_active", is_flag=True, help="Also make it the active version of its name.")
@_reason
@_actor
@registry_option
def push(directory: Path, makes_active: bool, reason: str, actor: str | None, where: str) -> None:
    """Store the inspection in DIRECTORY as a version; prints its digest.

    A stored version never changes: after an edit, raise `version` in inspection.yaml. `vqc-registry push` stores the
    inspections of a model by itself.
    """
    from registry.inspections import inspection_alias, inspection_versions, push_inspection
    from vqc.inspection import load_inspection
    from vqc.missions import inspection_directory

    registry, source = registry_at(where), inspection_directory(directory)
    read = load_inspection(source)
    # Read before the version is judged against: a move meanwhile makes the one below fail.
    before = registry.store.aliases().get(inspection_alias(read.name))
    for one in inspection_versions(registry, read.name):
        if one.version == read.header.version and one.record != read.digest:
            valid = f"is stored as {one.digest[:19]} with other content; raise it"
            raise InvalidValue(f"{source / 'inspection.yaml'}: version", one.version, valid)
    pushed = push_inspection(registry, source, actor=actor, reason=reason)
    if makes_active:
        registry.move(inspection_alias(pushed.name), pushed.digest, expected=before, actor=actor, reason=reason)
    click.echo(pushed.digest)


@click.command("list")
@click.argument("name", required=False)
@registry_option
def list_inspections(name: str | None, where: str) -> None:
    """List the versions in the registry (of the inspection NAME); * marks the active one of each name."""
    from registry.inspections import inspection_alias, inspection_versions

    registry = registry_at(where)
    aliases = registry.store.aliases()
    for one in inspection_versions(registry, name):
        mark = "*" if aliases.get(inspection_alias(one.name)) == one.digest else " "
        click.echo(f"{mark} {one.digest}  {one.name} {one.version}")


@click.command()
@click.argument("ref")
@click.argument("out", type=click.Path(path_type=Path))
@registry_option
def pull(ref: str, out: Path, where: str) -> None:
    """Write version REF (inspection/NAME, inspection/NAME@VERSION or a digest) to OUT, a new directory."""
    from registry.inspections import pull_inspection

    found = pull_inspection(registry_at(where), ref, out)
    click.echo(f"{out}: {found.name} {found.header.version} with {len(found.missions)} missions")


@click.command("activate")
@click.argument("ref")
@click.option("--expected", metavar="REF", help="Only if this is the active version now ('none': if there is none).")
@_reason
@_actor
@registry_option
def make_active(ref: str, expected: str | None, reason: str, actor: str | None, where: str) -> None:
    """Make version REF the active one of its name: the one that `inspection/NAME` means."""
    from registry import ANY
    from registry.inspections import inspection_alias, inspection_version, resolve_inspection

    registry = registry_at(where)
    version = inspection_version(registry, ref)
    before = ANY if expected is None else None if expected == "none" else resolve_inspection(registry, expected)
    alias = inspection_alias(version.name)
    entry = registry.move(alias, version.digest, expected=before, actor=actor, reason=reason)
    click.echo(f"inspection/{version.name}: {entry.before or 'nothing'} -> {entry.after}")


@click.command()
@click.argument("name")
@click.option("--to", metavar="REF", help="An earlier version. [default: the previous one]")
@_reason
@_actor
@registry_option
def rollback(name: str, to: str | None, reason: str, actor: str | None, where: str) -> None:
    """Make the version of the inspection NAME that was active before the active one again."""
    from registry.gates.promote import rollback as rolled_back
    from registry.inspections import inspection_alias, resolve_inspection

    registry = registry_at(where)
    target = resolve_inspection(registry, to) if to else None
    moved = rolled_back(registry, inspection_alias(name), to=target, actor=actor, reason=reason)
    click.echo(f"inspection/{name}: {moved.previous or 'nothing'} -> {moved.version}")


VERSION_COMMANDS = (push, list_inspections, pull, make_active, rollback)
