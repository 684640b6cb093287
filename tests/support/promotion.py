"""Versions and guidance that could be promoted."""

from __future__ import annotations

import json
from collections.abc import Callable

from vqc.contract import digest

MISSION = "挡风板安装检查"
GOOD: dict[str, object] = {"f1_50_box": 0.6, "malformed": 0.0, "num_images": 100}


Push = Callable[..., str]


def guidance_record(step: int = 0, mission: str = MISSION) -> bytes:
    """A record as the service keeps it."""
    rest = {
        "mission": mission,
        "focus": "挡风板",
        "rules": [{"id": "G0", "text": f"规则{step}", "evidence": []}],
        "issued": 1,
        "step": step,
        "parent": None if step == 0 else "0" * 64,
    }
    return json.dumps({**rest, "version": digest(rest)}, ensure_ascii=False).encode()
