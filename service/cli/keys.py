"""``vqc keys``: API keys in the key file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click


@click.group()
def keys() -> None:
    """Create API keys."""


@keys.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(["caption", "stage-a", "stage-b", "review", "admin"]),
    help="What the key allows; may be repeated.",
)
@click.option(
    "--expires", type=click.DateTime(["%Y-%m-%d"]), help="First day (UTC) on which the key is no longer valid."
)
def create(file: Path, scopes: tuple[str, ...], expires: datetime | None) -> None:
    """Add a key to FILE and print it. The key is not shown again: FILE stores only its digest."""
    from datetime import UTC

    from service.web.auth import Scope, create_key

    click.echo(create_key(file, map(Scope, scopes), expires.replace(tzinfo=UTC) if expires else None))
