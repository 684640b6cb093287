"""Ports for the servers that tests start."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

_CANDIDATES = iter(random.sample(range(20_000, 32_000), 12_000))
"""Below those that Linux gives to connections that go out, which would take one between its choice and its use."""
_LOCKS = Path(tempfile.gettempdir()) / f"vqc-test-ports-{os.getuid()}"


def free_port() -> int:
    """A port of loopback that no process listens on; no two test processes of this machine get the same one."""
    _LOCKS.mkdir(exist_ok=True)
    for port in _CANDIDATES:
        if _is_unused(port) and _reserve(port):
            return port
    raise AssertionError("no port is left")


def _is_unused(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _reserve(port: int) -> bool:
    """Locks the port's file until this process ends; False where another process has it."""
    file = os.open(_LOCKS / str(port), os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    return True  # the file stays open, and with it the lock
