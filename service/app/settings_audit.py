"""Records in the audit log that a process started with other settings than the one before it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from hashlib import sha256

import structlog
from pydantic import SecretStr

from engine.debug_log import without_secrets
from service.platform.audit_log import Action
from service.platform.files import read_json, write_json
from service.platform.settings import Settings
from service.web.audit_trail import AuditTrail
from vqc.errors import InvalidValue

_log = structlog.get_logger("vqc.audit")


def record_settings(settings: Settings, audit: AuditTrail, process: str) -> None:
    """Records the settings of ``process`` (api, up or worker) that have changed, each with its value before.

    At the first start these are the settings that differ from their defaults. Of a secret only a part of its digest is kept.
    """
    path, now = settings.audit_root / f"settings-{process}.json", _values(settings)
    try:
        before = read_json(path) if path.exists() else _defaults()
    except InvalidValue:
        before = _defaults()
    held: Mapping[str, object] = before if isinstance(before, dict) else {}
    changed = {name: [held.get(name), value] for name, value in now.items() if held.get(name) != value}
    if not changed:
        return
    audit.write(Action.SETTINGS_CHANGED, by=f"process {process}", process=process, settings=changed)
    try:
        write_json(path, now)
    except OSError as error:
        _log.warning("settings_not_recorded", path=str(path), error=str(error))


def log_settings(settings: Settings) -> None:
    """Writes every setting as a debug line: of a secret, that it is set; of an address, no user and password."""
    if _log.is_enabled_for(logging.DEBUG):
        shown = {name: getattr(settings, name) for name in Settings.model_fields}
        secrets = {name: "set" for name, value in shown.items() if isinstance(value, SecretStr)}
        plain: dict[str, object] = json.loads(json.dumps(shown | secrets, default=str))
        _log.debug("settings", **{name: _without_secrets(value) for name, value in plain.items()})


def _without_secrets(value: object) -> object:
    if isinstance(value, list):
        return without_secrets(list(map(str, value)))
    return without_secrets([value])[0] if isinstance(value, str) else value


def _values(settings: Settings) -> dict[str, object]:
    """Every setting as JSON holds it, addresses without user and password."""
    plain = {name: _visible(getattr(settings, name)) for name in Settings.model_fields}
    values: dict[str, object] = json.loads(json.dumps(plain, default=str))
    return {name: _without_secrets(value) for name, value in values.items()}


def _defaults() -> dict[str, object]:
    return _values(Settings.model_construct())


def _visible(value: object) -> object:
    if not isinstance(value, SecretStr):
        return value
    return f"secret {sha256(value.get_secret_value().encode()).hexdigest()[:8]}"
