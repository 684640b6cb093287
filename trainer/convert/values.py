"""Values that ms-swift accepts in several forms."""

from __future__ import annotations

import json
from typing import Any

from vqc.errors import InvalidValue

_OFFLOADS = ("offload_optimizer", "offload_param")


def mapping(name: str, value: object) -> dict[str, Any]:
    """A mapping, given as such or as JSON text.

    Raises:
        InvalidValue: the value is neither.
    """
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise InvalidValue(name, value, "must be a mapping, or one in JSON")
    return found


def zero_stage(value: object) -> str | None:
    """zero2 or zero3, from a preset's name or DeepSpeed's own settings; None for others, and with offloading.

    >>> zero_stage("zero2"), zero_stage('{"zero_optimization": {"stage": 3}}'), zero_stage("zero3_offload")
    ('zero2', 'zero3', None)
    """
    if isinstance(value, str) and not value.startswith("{"):
        return value if value in ("zero2", "zero3") else None
    zero = mapping("deepspeed.zero_optimization", mapping("deepspeed", value).get("zero_optimization") or {})
    devices = [mapping(f"deepspeed.{name}", zero.get(name) or {}).get("device", "none") for name in _OFFLOADS]
    return f"zero{zero['stage']}" if zero.get("stage") in (2, 3) and devices == ["none", "none"] else None
