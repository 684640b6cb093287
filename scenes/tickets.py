"""Sample tickets: a few photos for one mission, the verdict that an operator filed, and the true verdict.

Two errors are planted: label noise (the filed verdict is wrong) and hidden failures (a defect that the photo shows and
no Stage-A line mentions), so that text-only and image evidence can be compared.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from scenes.camera import REFERENCE_WH
from scenes.defect_rates import Hidden, Theme
from scenes.rules import MissionRules, mission_rules, true_verdict
from scenes.scene import Scene, ScenePlan, plan_scene
from scenes.vocabulary import BBU, FIBRE, RRU, SHIELD, WIRE, Domain
from vqc.geometry import SizeWH
from vqc.verdict import Verdict, VerdictAnswer

MOST_PHOTOS = 5
ATTEMPTS = 400
MISSING_SHARE = 0.25
"""Share of visible failures that lack a key item, for missions with photos of two kinds."""

CARRIER = {
    Hidden.BROKEN_SHIELD: f"{SHIELD}/",
    Hidden.UPSIDE_DOWN: f"{BBU}/",
    Hidden.CUT_WIRE: f"{WIRE}/",
    Hidden.TORN_FIBRE: f"{FIBRE}/",
    Hidden.CRACKED_RRU: f"{RRU}/",
}
"""The object on which each hidden defect is visible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketMix:
    """Shares of tickets, each 0..1: visible failures, hidden failures and flipped labels.

    ``irrelevant`` is the probability that a ticket contains an irrelevant photo.
    """

    fail: float = 0.45
    hidden: float = 0.0
    noise: float = 0.0
    irrelevant: float = 0.15

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise ValueError(f"{field.name} must be a share from 0 to 1, not {getattr(self, field.name)!r}")
        if self.fail + self.hidden > 1:
            raise ValueError("the sum of fail and hidden must not exceed 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnTicket:
    """Photos filed for one mission. ``reason`` explains ``true_label``."""

    mission: str
    group_id: str
    photos: tuple[Scene, ...]
    label: Verdict
    true_label: Verdict
    noise: bool
    hidden: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketPlan:
    """A ticket whose photos are laid out but not painted: cheap to make, with known labels and Stage-A lines."""

    mission: str
    group_id: str
    photos: tuple[ScenePlan, ...]
    label: Verdict
    true_label: Verdict
    noise: bool
    hidden: bool
    reason: str

    def paint(self) -> DrawnTicket:
        """Paints the ticket's photos."""
        return DrawnTicket(
            mission=self.mission,
            group_id=self.group_id,
            photos=tuple(plan.paint() for plan in self.photos),
            label=self.label,
            true_label=self.true_label,
            noise=self.noise,
            hidden=self.hidden,
            reason=self.reason,
        )


def draw_ticket(
    seed: int,
    mission: str,
    *,
    size_wh: SizeWH = REFERENCE_WH,
    domain: Domain = "base",
    mix: TicketMix | None = None,
) -> DrawnTicket:
    """Draws a ticket of 2 to 5 photos; a pure function of its arguments.

    Raises:
        InvalidValue: tickets of this mission cannot be drawn.
    """
    return plan_ticket(seed, mission, size_wh=size_wh, domain=domain, mix=mix).paint()


def plan_ticket(
    seed: int,
    mission: str,
    *,
    size_wh: SizeWH = REFERENCE_WH,
    domain: Domain = "base",
    mix: TicketMix | None = None,
) -> TicketPlan:
    """The ticket that ``draw_ticket`` would paint."""
    rules, mix = mission_rules(mission), mix or TicketMix()
    rng = random.Random(f"tickets/{domain}/{mission}/{seed}")
    draw = rng.random()
    hidden = draw >= 1 - mix.hidden and rules.hidden is not None
    fails = draw < mix.fail
    noise = rng.random() < mix.noise
    plans, truth = _plans(rng, mission, rules, fails=fails, hidden=hidden, mix=mix, size_wh=size_wh, domain=domain)
    label = truth.verdict if not noise else (Verdict.PASS if truth.verdict is Verdict.FAIL else Verdict.FAIL)
    return TicketPlan(
        mission=mission,
        group_id=f"QC-DEMO-20261122-{seed % 10_000_000:07d}",
        photos=tuple(plans),
        label=label,
        true_label=truth.verdict,
        noise=noise,
        hidden=hidden,
        reason=truth.reason,
    )


def _plans(
    rng: random.Random,
    mission: str,
    rules: MissionRules,
    *,
    fails: bool,
    hidden: bool,
    mix: TicketMix,
    size_wh: SizeWH,
    domain: Domain,
) -> tuple[list[ScenePlan], VerdictAnswer]:
    """Plans of photos with the wanted true verdict: plans are drawn until the rules agree."""
    themes = _themes(rng, rules, lacking=fails and len(rules.themes) > 1 and rng.random() < MISSING_SHARE)
    flawed = rng.randrange(len(themes))
    if rng.random() < mix.irrelevant and len(themes) < MOST_PHOTOS:
        place = rng.randint(0, len(themes))
        themes.insert(place, Theme.IRRELEVANT)
        flawed += place <= flawed
    clean = rules.clean_rates
    wanted = Verdict.FAIL if fails or hidden else Verdict.PASS
    for _ in range(ATTEMPTS):
        defective = replace(clean, **{rng.choice(rules.flaws): 0.6}) if fails else clean
        plans = [
            plan_scene(
                rng.getrandbits(40),
                size_wh=size_wh,
                domain=domain,
                theme=theme,
                rates=defective if k == flawed else clean,
                hidden=rules.hidden if hidden and k == flawed else None,
            )
            for k, theme in enumerate(themes)
        ]
        truth = _truth(mission, plans, flawed)
        if truth is not None and truth.verdict is wanted:
            return plans, truth
    raise RuntimeError(f"no ticket of {mission!r} is {wanted} after {ATTEMPTS} attempts")


def _truth(mission: str, plans: Sequence[ScenePlan], flawed: int) -> VerdictAnswer | None:
    """The true verdict; None if the hidden defect would be invisible or the ticket would fail without it."""
    photos = [plan.descs for plan in plans]
    flaw = plans[flawed].hidden
    if flaw is None:
        return true_verdict(mission, photos)
    seen = any(desc.startswith(CARRIER[flaw]) for desc in photos[flawed])
    passes_without = true_verdict(mission, photos).verdict is Verdict.PASS
    return true_verdict(mission, photos, hidden=(flawed, flaw)) if seen and passes_without else None


def _themes(rng: random.Random, rules: MissionRules, *, lacking: bool) -> list[Theme]:
    """Two to four relevant photos that show every key item or, when ``lacking``, those of one kind only."""
    count = rng.choices((2, 3, 4), (0.45, 0.4, 0.15))[0]
    kinds = [theme for theme in rules.themes if not lacking]
    if lacking:
        kinds = [rng.choice(rules.themes)]
    themes = [*kinds, *(rng.choice(kinds) for _ in range(count - len(kinds)))]
    rng.shuffle(themes)
    return themes
