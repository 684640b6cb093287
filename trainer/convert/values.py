"""Values that ms-swift takes in several forms."""

from __future__ import annotations

import json
from typing import Any

from vqc.errors import InvalidValue

_OFFLOADS = ("offload_optimizer", "offload_param")


def mapping(name: str, told: object) -> dict[str, Any]:
    """A mapping, given as itself or as JSON text.

    Raises:
        InvalidValue: it is neither.
    """
    try:
        found = json.loads(told) if isinstance(told, str) else told
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise InvalidValue(name, told, "must be a mapping, or one in JSON")
    return found


def zero_stage(told: object) -> str | None:
    """zero2 or zero3 of a preset's name or of DeepSpeed's own settings; None for others, and where memory is offloaded.

    >>> zero_stage("zero2"), zero_stage('{"zero_optimization": {"stage": 3}}'), zero_stage("zero3_offload")
    ('zero2', 'zero3', None)
    """
    if isinstance(told, str) and not told.startswith("{"):
        return told if told in ("zero2", "zero3") else None
    zero = mapping("deepspeed.zero_optimization", mapping("deepspeed", told).get("zero_optimization") or {})
    devices = [mapping(f"deepspeed.{name}", zero.get(name) or {}).get("device", "none") for name in _OFFLOADS]
    return f"zero{zero['stage']}" if zero.get("stage") in (2, 3) and devices == ["none", "none"] else None
