"""Runs work in a child that may kill itself."""

from __future__ import annotations

import os
from collections.abc import Callable


def is_killed(work: Callable[[], object]) -> bool:
    """Runs ``work`` in a child; whether a signal ended it. A child that ends by itself must have succeeded."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False
