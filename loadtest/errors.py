"""The error of a measurement; a branch of the tree in ``vqc.errors``.

VqcError
└── BenchFailed   the measured process did not start, died, or returned something unexpected
"""

from __future__ import annotations

from vqc.errors import VqcError


class BenchFailed(VqcError):
    """A measurement failed. The message is for a person."""
