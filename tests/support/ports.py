"""Ports for the servers that tests start."""

from __future__ import annotations

import random
import socket

_NOT_GIVEN = iter(random.sample(range(20_000, 32_000), 12_000))
"""Below those that Linux gives to connections that go out, which would take one between its choice and its use."""


def free_port() -> int:
    """A port of loopback on which nobody listens; no port is given twice."""
    for port in _NOT_GIVEN:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("every port has been given")
