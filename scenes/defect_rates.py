"""What a photo shows, and how often each defect occurs in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scenes.probabilities import check_probabilities


class Theme(StrEnum):
    """The subject of a photo."""

    RACK = "rack"
    PORTS = "ports"
    ODF = "odf"
    GROUND_CABINET = "ground-cabinet"
    GROUND_BAR = "ground-bar"
    RRU = "rru"
    RRU_SITE = "rru-site"
    IRRELEVANT = "irrelevant"


class Condition(StrEnum):
    """How a photo was taken that does not show its subject well: from too near, in the dark, or out of focus."""

    CLOSE_UP = "close-up"
    DARK = "dark"
    BLURRED = "blurred"


class Hidden(StrEnum):
    """Defects that the photo shows but no description mentions; the value is their name in a verdict's reason."""

    BROKEN_SHIELD = "挡风板破损"
    UPSIDE_DOWN = "BBU设备倒装"
    CUT_WIRE = "接地线断开"
    TORN_FIBRE = "光纤外皮破损"
    CRACKED_RRU = "RRU设备外壳破损"


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectRates:
    """The probability of each defect, per object that can have it."""

    shield_missing: float = 0.0
    shield_wrong: float = 0.0
    bbu_screw: float = 0.0
    ground_screw: float = 0.0
    plug: float = 0.0
    unprotected: float = 0.0
    tight_bend: float = 0.0
    messy: float = 0.0
    rru_screw: float = 0.0
    bracket: float = 0.0
    misplaced: float = 0.0
    unreadable: float = 0.25

    def __post_init__(self) -> None:
        check_probabilities(self)


FLAWLESS = DefectRates()
NATURAL = DefectRates(
    shield_missing=0.35,
    shield_wrong=0.35,
    bbu_screw=0.3,
    ground_screw=0.4,
    plug=0.35,
    unprotected=0.35,
    tight_bend=0.3,
    messy=0.4,
    rru_screw=0.3,
    bracket=0.3,
    misplaced=0.4,
)
"""The rates for training data."""
