"""Digests of values by their canonical JSON."""

from __future__ import annotations

import json
from hashlib import sha256


def digest(value: object) -> str:
    """SHA-256 (hex) of a value's canonical JSON: sorted keys, no spaces, UTF-8.

    >>> digest({"a": 1})[:8]
    '015abd7f'
    """
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()
