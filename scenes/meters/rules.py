"""The rules of each mission of meter boxes, over what a ticket's photos show: the ground truth of drawn tickets.

A ticket fails at the first violation, photo by photo; otherwise at the first key item that no photo shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scenes.meters.words import (
    BARE,
    COVER,
    DISPLAY,
    FITTED,
    GLAND,
    HOUSING,
    ILLEGIBLE,
    LOOSE,
    SEAL,
    WIRE,
    HiddenFlaw,
    SealState,
    View,
    cover,
    gland,
    housing,
    seal,
)
from vqc.errors import InvalidValue
from vqc.verdict import Verdict, VerdictAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one mission asks for.

    Photos of ``view`` show every type of ``required``. ``violations`` maps what a description says to its reason; ``flaws``
    are the rates that can cause one. ``hidden`` is the flaw that no description mentions.
    """

    view: View
    required: tuple[str, ...]
    violations: Mapping[str, str]
    flaws: tuple[str, ...]
    pass_reason: str
    hidden: HiddenFlaw


CHECKS: dict[str, Check] = {
    "Sealing": Check(
        view=View.FRONT,
        required=(COVER, SEAL),
        violations={
            cover(False): "an open cover",
            seal(SealState.BROKEN): "a broken seal",
            seal(SealState.ABSENT): "a missing seal",
        },
        flaws=("cover", "seal"),
        pass_reason="the cover is closed and the seal is present and intact",
        hidden=HiddenFlaw.CRACKED_COVER,
    ),
    "Wiring": Check(
        view=View.ENTRY,
        required=(WIRE, GLAND),
        violations={f"{WIRE}/{LOOSE}": "a loose wire", f",{BARE}": "a bare wire", gland(False): "a missing gland"},
        flaws=("loose", "bare", "gland"),
        pass_reason=f"the wires are fastened and insulated, and every gland is {FITTED}",
        hidden=HiddenFlaw.DAMAGED_WIRE,
    ),
    "Reading": Check(
        view=View.METER,
        required=(DISPLAY, HOUSING),
        violations={f"{DISPLAY}/{ILLEGIBLE}": "an illegible display", housing(True): "a housing with rust"},
        flaws=("reading", "rust"),
        pass_reason="the display is legible and the housing has no rust",
        hidden=HiddenFlaw.DENTED_HOUSING,
    ),
}
"""The missions of ``inspections/meters``, by name."""


def check_of(mission: str) -> Check:
    """The rules of a mission.

    Raises:
        InvalidValue: tickets of this mission cannot be drawn.
    """
    if mission not in CHECKS:
        raise InvalidValue("mission", mission, f"tickets can be drawn for: {', '.join(CHECKS)}")
    return CHECKS[mission]


def judge_photos(
    mission: str, photos: Sequence[Sequence[str]], hidden: tuple[int, HiddenFlaw] | None = None
) -> VerdictAnswer:
    """The true verdict on the descriptions of each photo; its reason names the deciding photo (from 1) or key item.

    ``hidden`` is a flaw that only the photo at that index shows.

    >>> judge_photos("Sealing", [["cover/closed", "seal/broken"]]).reason
    'photo 1 shows a broken seal'
    """
    check = check_of(mission)
    for n, descs in enumerate(photos, start=1):
        for mark, flaw in check.violations.items():
            if any(mark in desc for desc in descs):
                return VerdictAnswer(verdict=Verdict.FAIL, reason=f"photo {n} shows {flaw}")
    for item in check.required:
        if not any(desc.startswith(f"{item}/") for descs in photos for desc in descs):
            return VerdictAnswer(verdict=Verdict.FAIL, reason=f"no photo shows a {item}")
    if hidden:
        return VerdictAnswer(verdict=Verdict.FAIL, reason=f"photo {hidden[0] + 1} shows {hidden[1]}")
    return VerdictAnswer(verdict=Verdict.PASS, reason=check.pass_reason)
