"""``move`` and ``log``: which version an alias names, and who said so."""

from __future__ import annotations

from dataclasses import asdict

import click

from registry.cli.options import json_option, opened, print_json, registry_option
from registry.values import ANY


@click.command("move")
@click.argument("alias")
@click.argument("ref", required=False)
@click.option("--expected", metavar="REF", help="Only if the alias is at this version now ('none': if it is new).")
@click.option("--remove", is_flag=True, help="Remove the alias instead.")
@click.option("--reason", default="", help="For the log.")
@click.option("--actor", metavar="NAME", help="Who the log names; else user@host.")
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
    """Point ALIAS at version REF, without gates (`promote` has them)."""
    if (ref is None) != remove:
        raise click.UsageError("name REF, or --remove")
    registry = opened(where)
    thought = ANY if expected is None else None if expected == "none" else registry.resolve(expected)
    entry = registry.move(alias, ref, expected=thought, actor=actor, reason=reason)
    if as_json:
        print_json(asdict(entry))
    else:
        click.echo(f"{alias}: {entry.before or 'nothing'} -> {entry.after or 'nothing'}")


@click.command()
@registry_option
@json_option
def log(where: str, as_json: bool) -> None:
    """Everything that was done to the registry, oldest first."""
    entries = opened(where).audit()
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    for entry in entries:
        what = f"{entry.alias}: " if entry.alias else ""
        where_to = f"{(entry.before or 'nothing')[:19]} -> {(entry.after or 'nothing')[:19]}"
        click.echo(f"{entry.at}  {entry.action:7}  {what}{where_to}  {entry.actor}  {entry.reason}")
