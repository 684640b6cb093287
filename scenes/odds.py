"""What a photo is of, and how often things in it are wrong."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum


class Theme(StrEnum):
    """What a photo is of."""

    RACK = "rack"
    PORTS = "ports"
    ODF = "odf"
    GROUND_CABINET = "ground-cabinet"
    GROUND_BAR = "ground-bar"
    RRU = "rru"
    IRRELEVANT = "irrelevant"


class Hidden(StrEnum):
    """Flaws that the photo shows but no description mentions; the value is what a reason calls it."""

    BROKEN_SHIELD = "挡风板破损"
    UPSIDE_DOWN = "BBU设备倒装"
    CUT_WIRE = "接地线断开"
    TORN_FIBRE = "光纤外皮破损"


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """Probability of each flaw, per thing that can have it."""

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
    unreadable: float = 0.25

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise ValueError(f"{field.name} is a probability, not {getattr(self, field.name)!r}")


FLAWLESS = Odds()
NATURAL = Odds(
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
)
"""The mix that training data is drawn with."""
