"""``vqc keys``: API keys in the key file."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import click

_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_EXISTING = click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))


@click.group()
def keys() -> None:
    """Create, list, revoke and rotate API keys. A running service uses the changed FILE from its next request on."""


@keys.command()
@_FILE
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(["caption", "stage-a", "stage-b", "review", "admin"]),
    help="What the key allows; may be repeated.",
)
@click.option("--name", default="", help="The holder: the name that decisions with this key are recorded under.")
@click.option(
    "--expires", type=click.DateTime(["%Y-%m-%d"]), help="First day (UTC) on which the key is no longer valid."
)
@click.option(
    "--rate-per-minute",
    type=click.IntRange(min=1),
    help="Most requests in a minute. [default: VQC_KEY_RATE_PER_MINUTE]",
)
@click.option(
    "--quota-per-day",
    type=click.IntRange(min=1),
    help="Most requests for work (captions, lines, tickets) in a day. [default: VQC_KEY_QUOTA_PER_DAY]",
)
def create(
    file: Path,
    scopes: tuple[str, ...],
    name: str,
    expires: datetime | None,
    rate_per_minute: int | None,
    quota_per_day: int | None,
) -> None:
    """Add a key to FILE and print it. The key is not shown again: FILE stores only its digest."""
    from datetime import UTC

    from service.web.auth import Scope
    from service.web.key_file import create_key

    expires_at = expires.replace(tzinfo=UTC) if expires else None
    token = create_key(
        file,
        map(Scope, scopes),
        expires_at,
        name=name,
        rate_per_minute=rate_per_minute,
        quota_per_day=quota_per_day,
    )
    _record("key_created", file, token, name=name, scopes=sorted(scopes))
    click.echo(token)


@keys.command("list")
@_EXISTING
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_keys(file: Path, as_json: bool) -> None:
    """Print the keys in FILE: id, holder, scopes, creation and expiry, limits. Their secrets are not stored."""
    from service.web.key_file import read_keys

    found = read_keys(file)
    if as_json:
        documents = [key.model_dump(mode="json", exclude={"sha256"}) | {"scopes": sorted(key.scopes)} for key in found]
        click.echo(json.dumps(documents, ensure_ascii=False, indent=2))
        return
    for key in found:
        created = f"created {key.created_at:%Y-%m-%d}" if key.created_at else ""
        expires = f"expires {key.expires_at.isoformat()}" if key.expires_at else ""
        rate = f"{key.rate_per_minute}/min" if key.rate_per_minute else ""
        quota = f"{key.quota_per_day}/day" if key.quota_per_day else ""
        shown = [key.id, key.name or "–", ",".join(sorted(key.scopes)), created, expires, rate, quota]
        click.echo("  ".join(filter(None, shown)))


@keys.command()
@_EXISTING
@click.argument("key_id")
def revoke(file: Path, key_id: str) -> None:
    """Remove the key KEY_ID from FILE. Its requests are rejected and its console sessions end."""
    from service.web.key_file import revoke_key

    removed = revoke_key(file, key_id)
    _record("key_revoked", file, removed.id, name=removed.name)
    click.echo(f"revoked {removed.id}  {removed.name}".rstrip())


@keys.command()
@_EXISTING
@click.argument("key_id")
@click.option(
    "--overlap-h",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Hours for which the old key stays valid.",
)
def rotate(file: Path, key_id: str, overlap_h: float) -> None:
    """Replace the key KEY_ID in FILE by a new one with the same holder, scopes and expiry, and print it."""
    from service.web.key_file import rotate_key

    token = rotate_key(file, key_id, timedelta(hours=overlap_h))
    _record("key_rotated", file, token, before=key_id, overlap_h=overlap_h)
    click.echo(token)


def _record(action: str, file: Path, key: str, **fields: object) -> None:
    """Records the change of a key, named by its token or id, in the audit log, as done by the user of this machine."""
    from datetime import UTC
    from getpass import getuser

    from service.cli.audit import audit_folder
    from service.platform.audit_log import Action, AuditLog

    try:
        user = f"user {getuser()}"
    except (KeyError, OSError):  # a container whose user has no name
        user = f"uid {os.getuid()}"
    key_id = key.split("_")[1] if key.startswith("vqc_") else key
    about = {"by": user, "file": str(file), "changed_key": key_id, **fields}
    try:
        AuditLog(audit_folder()).append(datetime.now(UTC), Action(action), about)
    except OSError as error:  # the change is made; what was not recorded must not look as if it had failed
        click.echo(f"vqc: not recorded in the audit log: {error}", err=True)
