"""Roles of served models, and the share of the requests that an alias gets, chosen by a hash of the request id."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from vqc.errors import InvalidValue


class Role(StrEnum):
    """The role of a served model."""

    MAIN = "main"
    """Answers every request that the canary does not get."""

    CANARY = "canary"
    """Answers a share of the requests."""

    SHADOW = "shadow"
    """Gets the main model's requests as well; its answers are compared and dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The part of the requests (above 0, at most 1) that an alias gets."""

    alias: str
    part: float

    def takes(self, role: Role, key: str) -> bool:
        """Whether the alias gets the request named ``key``.

        >>> share = Share(alias="candidate", part=0.25)
        >>> sum(share.takes(Role.CANARY, str(n)) for n in range(1000))
        245
        """
        # A hash, not a random number: every process decides alike, and a retry of a request goes to the same model. The role
        # is in it so that canary and shadow get different requests.
        drawn = int.from_bytes(sha256(f"{role}:{key}".encode()).digest()[:8], "big")
        return drawn < self.part * 2**64


def parse_share(field: str, text: str) -> Share:
    """The share in a setting.

    >>> parse_share("VQC_CANARY", "candidate:0.05")
    Share(alias='candidate', part=0.05)
    >>> parse_share("VQC_SHADOW", "candidate").part
    1.0

    Raises:
        InvalidValue: anything but ``ALIAS`` or ``ALIAS:SHARE``.
    """
    alias, separator, part = text.partition(":")
    try:
        share = float(part) if separator else 1.0
    except ValueError:
        share = 0.0
    if not alias or not 0 < share <= 1:
        raise InvalidValue(field, text, "must be ALIAS or ALIAS:SHARE with a share above 0 and at most 1")
    return Share(alias=alias, part=share)
