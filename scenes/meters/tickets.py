"""Drawn tickets of meter boxes: a few photos for one mission, the verdict that was filed, and the true one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scenes.meters.photo import PHOTO_WH, PhotoPlan, plan_photo
from scenes.meters.rules import Check, check_of, judge_photos
from scenes.meters.words import USUAL, FlawRates, View
from scenes.tickets import ATTEMPTS, TicketMix
from vqc.geometry import SizeWH
from vqc.verdict import Verdict, VerdictAnswer

LACKING_SHARE = 0.2
"""Share of visible failures that show no key item at all."""

OTHER_SHARE = 0.35
"""Share of tickets with a photo of another view, whose flaws are none of the mission's business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterTicket:
    """A ticket whose photos are laid out but not painted. ``reason`` explains ``true_label``."""

    mission: str
    group_id: str
    photos: tuple[PhotoPlan, ...]
    label: Verdict
    true_label: Verdict
    noise: bool
    hidden: bool
    reason: str


def plan_meter_ticket(
    seed: int, mission: str, *, size_wh: SizeWH = PHOTO_WH, mix: TicketMix | None = None
) -> MeterTicket:
    """A ticket of 1 to 4 photos; a pure function of its arguments.

    Raises:
        InvalidValue: tickets of this mission cannot be drawn.
    """
    check, mix = check_of(mission), mix or TicketMix()
    rng = random.Random(f"meters/tickets/{mission}/{seed}")
    draw = rng.random()
    hidden, fails, noise = draw >= 1 - mix.hidden, draw < mix.fail, rng.random() < mix.noise
    views = _views(rng, check, lacking=fails and rng.random() < LACKING_SHARE, irrelevant=mix.irrelevant)
    plans, truth = _draw_until(rng, mission, views, fails=fails, hidden=hidden, size_wh=size_wh)
    other = Verdict.PASS if truth.verdict is Verdict.FAIL else Verdict.FAIL
    return MeterTicket(
        mission=mission,
        group_id=f"QC-METER-20261201-{seed % 10_000_000:07d}",
        photos=tuple(plans),
        label=other if noise else truth.verdict,
        true_label=truth.verdict,
        noise=noise,
        hidden=hidden,
        reason=truth.reason,
    )


def _views(rng: random.Random, check: Check, *, lacking: bool, irrelevant: float) -> list[View]:
    """The views of a ticket's photos, without the mission's own if it is ``lacking``."""
    others = [view for view in View if view not in (check.view, View.IRRELEVANT)]
    own = [check.view] * rng.choices((1, 2), (0.6, 0.4))[0]
    views = [rng.choice(others) for _ in own] if lacking else own
    if rng.random() < OTHER_SHARE:
        views.append(rng.choice(others))
    if rng.random() < irrelevant:
        views.append(View.IRRELEVANT)
    rng.shuffle(views)
    return views


def _draw_until(
    rng: random.Random, mission: str, views: Sequence[View], *, fails: bool, hidden: bool, size_wh: SizeWH
) -> tuple[list[PhotoPlan], VerdictAnswer]:
    """Plans of photos with the wanted true verdict: plans are drawn until the rules agree."""
    check = check_of(mission)
    clean = replace(USUAL, **dict.fromkeys(check.flaws, 0.0))
    own = [k for k, view in enumerate(views) if view is check.view]
    flawed = rng.choice(own) if own and (fails or hidden) else None
    wanted = Verdict.FAIL if fails or hidden else Verdict.PASS
    for _ in range(ATTEMPTS):
        rates = [clean] * len(views)
        if flawed is not None and fails:
            rates[flawed] = _with_one_flaw(rng, clean, check)
        plans = [
            plan_photo(
                rng.getrandbits(40),
                size_wh=size_wh,
                view=view,
                rates=rates[k],
                hidden=check.hidden if hidden and k == flawed else None,
            )
            for k, view in enumerate(views)
        ]
        photos = [[item.desc for item in plan.objects] for plan in plans]
        truth = judge_photos(mission, photos, (flawed, check.hidden) if hidden and flawed is not None else None)
        if truth.verdict is wanted:
            return plans, truth
    raise RuntimeError(f"no ticket of {mission!r} is {wanted} after {ATTEMPTS} attempts")


def _with_one_flaw(rng: random.Random, clean: FlawRates, check: Check) -> FlawRates:
    return replace(clean, **{rng.choice(check.flaws): 0.8})
