"""The words of meter boxes: views of a photo, states of its parts, and the descriptions built from them.

Everything in a description is visible in the picture (``scenes.meters.parts``). ``descs`` lists all descriptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from scenes.probabilities import check_probabilities

COVER, SEAL, WIRE, GLAND, DISPLAY, HOUSING = "cover", "seal", "wire", "gland", "display", "housing"
CLOSED, OPEN = "closed", "open"
FASTENED, LOOSE = "fastened", "loose"
INSULATED, BARE = "insulated", "bare"
FITTED, MISSING = "fitted", "missing"
NO_RUST, RUST = "no rust", "rust"
LEGIBLE, ILLEGIBLE = "legible", "illegible"


class View(StrEnum):
    """What a photo is of."""

    FRONT = "front"
    ENTRY = "entry"
    METER = "meter"
    IRRELEVANT = "irrelevant"


class SealState(StrEnum):
    """The state of a seal."""

    INTACT = "present,intact"
    BROKEN = "broken"
    ABSENT = "missing"


class Reading(StrEnum):
    """Whether a reading is legible, and why not."""

    CLEAR = LEGIBLE
    GLARING = f"{ILLEGIBLE},glaring"
    DARK = f"{ILLEGIBLE},dark"
    COVERED = f"{ILLEGIBLE},covered"


LOST = (Reading.GLARING, Reading.DARK, Reading.COVERED)
"""The readings that nobody can read."""


class HiddenFlaw(StrEnum):
    """Flaws that the photo shows but no description mentions; the value is their name in a verdict's reason."""

    CRACKED_COVER = "a cracked cover"
    DAMAGED_WIRE = "a damaged wire"
    DENTED_HOUSING = "a dented housing"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlawRates:
    """The probability of each flaw, per part that can have it."""

    cover: float = 0.0
    seal: float = 0.0
    loose: float = 0.0
    bare: float = 0.0
    gland: float = 0.0
    reading: float = 0.0
    rust: float = 0.0

    def __post_init__(self) -> None:
        check_probabilities(self)


USUAL = FlawRates(cover=0.3, seal=0.45, loose=0.35, bare=0.3, gland=0.3, reading=0.45, rust=0.4)
"""The rates for training data."""


def cover(closed: bool) -> str:
    """The description of the door in front of a box.

    >>> cover(True)
    'cover/closed'
    """
    return f"{COVER}/{CLOSED if closed else OPEN}"


def seal(state: SealState) -> str:
    """The description of a seal, or of the place where it is missing.

    >>> seal(SealState.INTACT)
    'seal/present,intact'
    """
    return f"{SEAL}/{state}"


def wire(fastened: bool, insulated: bool) -> str:
    """The description of a wire.

    >>> wire(True, False)
    'wire/fastened,bare'
    """
    return f"{WIRE}/{FASTENED if fastened else LOOSE},{INSULATED if insulated else BARE}"


def gland(fitted: bool) -> str:
    """The description of the place where a wire enters the box."""
    return f"{GLAND}/{FITTED if fitted else MISSING}"


def display(reading: Reading) -> str:
    """The description of a meter's display."""
    return f"{DISPLAY}/{reading}"


def housing(rusty: bool) -> str:
    """The description of a meter's housing.

    >>> housing(False)
    'housing/no rust'
    """
    return f"{HOUSING}/{RUST if rusty else NO_RUST}"


def descs() -> tuple[str, ...]:
    """Every description that a photo may contain."""
    return (
        *map(cover, (True, False)),
        *map(seal, SealState),
        *(wire(*states) for states in product((True, False), repeat=2)),
        *map(gland, (True, False)),
        *map(display, Reading),
        *map(housing, (True, False)),
    )
