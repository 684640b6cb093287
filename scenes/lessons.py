"""Photos to learn verdicts from: each as one mission's tickets show it, sometimes flawed or taken badly.

``scenes.compose`` makes tickets of them. Natural photos show every flaw at once, and few of them are flawless.
"""

from __future__ import annotations

import random
from dataclasses import replace

from scenes.camera import REFERENCE_WH
from scenes.defect_rates import Condition
from scenes.rules import RULES
from scenes.scene import ScenePlan, plan_scene
from scenes.vocabulary import Domain
from vqc.geometry import SizeWH

FLAWED, HIDDEN, FLAW_RATE = 0.36, 0.24, 0.6
"""Shares of photos with a flaw that their labels name and with one that none names; rate of the chosen flaw."""

CONDITIONS = {None: 0.8, Condition.CLOSE_UP: 0.13, Condition.DARK: 0.03, Condition.BLURRED: 0.04}
"""How photos are taken, by share."""


def plan_lesson(seed: int, *, size_wh: SizeWH = REFERENCE_WH, domain: Domain = "base") -> ScenePlan:
    """The photo with this seed: a theme of a random mission, without its flaws, with one of them, or with its hidden one."""
    rng = random.Random(f"lessons/{domain}/{seed}")
    rules = rng.choice(tuple(RULES.values()))
    rates, draw = rules.clean_rates, rng.random()
    if draw < FLAWED:
        rates = replace(rates, **{rng.choice(rules.flaws): FLAW_RATE})
    return plan_scene(
        rng.getrandbits(40),
        size_wh=size_wh,
        domain=domain,
        theme=rng.choice(rules.themes),
        rates=rates,
        hidden=rules.hidden if FLAWED <= draw < FLAWED + HIDDEN else None,
        condition=rng.choices(tuple(CONDITIONS), tuple(CONDITIONS.values()))[0],
    )
