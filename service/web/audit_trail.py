"""Writes the audit log of one process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from service.platform.audit_log import Action, AuditLog

_log = structlog.get_logger("vqc.audit")


class AuditTrail:
    """Writes entries. One that cannot be written is in the process log instead, and counted by ``on_failure``.

    A full disk must not stop people from deciding tickets, so a failure is reported to the operator and not to the caller.
    """

    def __init__(self, log: AuditLog, on_failure: Callable[[], None]) -> None:
        self._audit_log = log
        self._on_failure = on_failure

    def write(self, action: Action, **fields: object) -> None:
        """Writes one entry; blocks until it is on disk."""
        try:
            self._audit_log.append(datetime.now(UTC), action, fields)
        except OSError as error:
            self._on_failure()
            _log.error("audit_log_unwritable", error=str(error), action=action.value, **fields)
