"""What can stop a measurement; a branch of the tree in ``vqc.errors``.

VqcError
└── BenchFailed   what is measured did not start, went away or does not speak as it should
"""

from __future__ import annotations

from vqc.errors import VqcError


class BenchFailed(VqcError):
    """A measurement that could not be made. The message is for a person."""
