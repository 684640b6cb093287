"""``move`` and ``log``: which version an alias names, and who moved it."""

from __future__ import annotations

from dataclasses import asdict

import click

from registry.cli.options import json_option, print_json, registry_at, registry_option
from registry.values import ANY


@click.command("move")
@click.argument("alias")
@click.argument("ref", required=False)
@click.option(
    "--expected", metavar="REF", help="Move only if the alias points to this version now ('none': if it is new)."
)
@click.option("--remove", is_flag=True, help="Remove the alias.")
@click.option("--reason", default="", help="Recorded in the log.")
@click.option("--actor", metavar="NAME", help="Recorded in the log. [default: user@host]")
@registry_option
@json_option
def move(
    alias: str,
    ref: str | None,
    expected: str | None,
    remove: bool,
    reason: str,
    actor: str | None,
    where: str,
    as_json: bool,
) -> None:
    """Point ALIAS at version REF, without gates (`promote` runs them)."""
    if (ref is None) != remove:
        raise click.UsageError("give either REF or --remove")
    registry = registry_at(where)
    expected_digest = ANY if expected is None else None if expected == "none" else registry.resolve(expected)
    entry = registry.move(alias, ref, expected=expected_digest, actor=actor, reason=reason)
    if as_json:
        print_json(asdict(entry))
    else:
        click.echo(f"{alias}: {entry.before or 'nothing'} -> {entry.after or 'nothing'}")


@click.command()
@registry_option
@json_option
def log(where: str, as_json: bool) -> None:
    """List all changes to the registry, oldest first."""
    entries = registry_at(where).audit()
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    for entry in entries:
        what = f"{entry.alias}: " if entry.alias else ""
        where_to = f"{(entry.before or 'nothing')[:19]} -> {(entry.after or 'nothing')[:19]}"
        click.echo(f"{entry.at}  {entry.action:7}  {what}{where_to}  {entry.actor}  {entry.reason}")
