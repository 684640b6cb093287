"""``vqc audit``: reads the audit log."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

_COMMON = ("at", "action", "by", "key", "client", "request_id", "prev")
_DATE = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


def audit_folder() -> Path:
    """The folder of the audit log, from the environment alone: a key can be created before the settings are valid."""
    own, state = os.environ.get("VQC_AUDIT_DIR"), os.environ.get("VQC_STATE_DIR", "output/state")
    return Path(own) if own else Path(state) / "audit"


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the log. [default: VQC_AUDIT_DIR, or the folder audit of VQC_STATE_DIR]",
)
@click.option("--action", "actions", multiple=True, help="Only these actions, e.g. ticket_decided; may be repeated.")
@click.option("--by", help="Only what this person or key id did.")
@click.option("--about", help="Only entries that name this ticket, photo, mission, version or key.")
@click.option("--since", type=_DATE, help="Only entries from this time (UTC) on.")
@click.option("--until", type=_DATE, help="Only entries before this time (UTC).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@click.option("--check", is_flag=True, help="Report lines that were damaged, changed or removed; exit code 1 if any.")
def audit(
    folder: Path | None,
    actions: tuple[str, ...],
    by: str | None,
    about: str | None,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
    check: bool,
) -> None:
    """Print who saw photos, decided tickets, changed guidance, models, settings or keys, and read lists of tickets."""
    from service.platform.audit_log import Action, AuditLog

    folder = folder or audit_folder()
    if not folder.is_dir():
        raise click.UsageError(f"{folder} is not a folder; name the log with --dir or VQC_AUDIT_DIR")
    if unknown := set(actions) - set(Action):
        raise click.UsageError(f"unknown action {min(unknown)!r}; valid: {', '.join(Action)}")
    log = AuditLog(folder)
    if check:
        problems = log.check()
        click.echo("\n".join(problems) or "the log is complete")
        sys.exit(1 if problems else 0)
    first, end = (moment.replace(tzinfo=UTC) if moment else None for moment in (since, until))
    for entry in log.entries(first):
        at = datetime.fromisoformat(str(entry["at"]))
        wanted = (first is None or at >= first) and (end is None or at < end)
        if wanted and (not actions or entry["action"] in actions) and _is_by(entry, by) and _is_about(entry, about):
            click.echo(json.dumps(entry, ensure_ascii=False) if as_json else _line(entry))


def _is_by(entry: Mapping[str, object], by: str | None) -> bool:
    return by is None or by in (entry.get("by"), entry.get("key"), entry.get("name"))


def _is_about(entry: Mapping[str, object], about: str | None) -> bool:
    rest = [value for name, value in entry.items() if name not in _COMMON]
    return about is None or any(about == value or (isinstance(value, list) and about in value) for value in rest)


def _line(entry: Mapping[str, object]) -> str:
    actor = " ".join(str(entry[name]) for name in ("by", "key") if entry.get(name)) or "anonymous"
    rest = [f"{name}={_text(value)}" for name, value in entry.items() if name not in _COMMON]
    return "  ".join([str(entry["at"])[:19] + "Z", str(entry["action"]), actor, *rest])


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
