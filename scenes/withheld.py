"""Good tickets whose decisive photos are taken away: what a verdict must notice (``python -m scenes.withheld OUT``).

A required item is chosen. Of the photos that show it one is blurred, darkened, taken from too near, taken at another site or
removed, and the others are removed, so that no photo shows the item any more.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from scenes.defect_rates import Condition, Theme
from scenes.files import SEEDS_APART, save_jpeg, write_lines
from scenes.rules import RULES, MissionRules, true_verdict
from scenes.scene import ScenePlan, plan_scene
from scenes.tickets import TicketMix, TicketPlan, plan_ticket
from scenes.write import ticket_record
from vqc.missions import mission_named
from vqc.verdict import Verdict

GOOD = TicketMix(fail=0.0)
ATTEMPTS = 100

WHOLE_SITE = Theme.RRU_SITE
"""A close-up of a roof still shows a unit, so its photos cannot be cropped past it."""


class Withheld(StrEnum):
    """What happened to the decisive photo."""

    REMOVED = "removed"
    BLURRED = "blurred"
    DARKENED = "darkened"
    CROPPED = "cropped"
    FOREIGN = "foreign"


def is_possible(mission: str, how: Withheld) -> bool:
    """Whether the photos of this mission's items can be taken away like this."""
    return how is not Withheld.CROPPED or WHOLE_SITE not in RULES[mission].themes


def plan_withheld(seed: int, mission: str, how: Withheld) -> TicketPlan:
    """A good ticket without the photos of one required item; its true verdict is 不通过 and its reason names the item.

    Raises:
        InvalidValue: tickets of this mission cannot be drawn.
    """
    rng = random.Random(f"withheld/{mission}/{how}/{seed}")
    rules = RULES[mission]
    for _ in range(ATTEMPTS):
        ticket = plan_ticket(rng.getrandbits(40), mission, mix=GOOD)
        mark = rng.choice(list(rules.required.values()))
        photos = _without(rng, ticket.photos, mark, how, rules, mission)
        truth = true_verdict(mission, [photo.descs for photo in photos])
        if photos and truth.verdict is Verdict.FAIL and "未见" in truth.reason:
            return replace(
                ticket, photos=tuple(photos), label=truth.verdict, true_label=truth.verdict, reason=truth.reason
            )
    raise RuntimeError(f"no good ticket of {mission!r} could be {how} in {ATTEMPTS} attempts")


def _without(
    rng: random.Random, photos: Sequence[ScenePlan], mark: str, how: Withheld, rules: MissionRules, mission: str
) -> list[ScenePlan]:
    """The photos without those that show ``mark``; what replaces one of them comes first in their place."""
    kept, replaced = list[ScenePlan](), False
    for photo in photos:
        if not any(mark in desc for desc in photo.descs):
            kept.append(photo)
        elif not replaced:
            kept += _instead(rng, photo, mark, how, rules, mission)
            replaced = True
    if not kept:  # a ticket has at least one photo
        kept.append(plan_scene(rng.getrandbits(40), theme=Theme.IRRELEVANT))
    return kept


def _instead(
    rng: random.Random, photo: ScenePlan, mark: str, how: Withheld, rules: MissionRules, mission: str
) -> list[ScenePlan]:
    match how:
        case Withheld.REMOVED:
            return []
        case Withheld.BLURRED:
            return [replace(photo, blur_px=rng.uniform(11, 16) * photo.stage.camera.scale)]
        case Withheld.DARKENED:
            return [replace(photo, light=rng.uniform(0.02, 0.12))]
        case Withheld.CROPPED:
            near = (
                plan_scene(
                    rng.getrandbits(40), theme=photo.theme, rates=rules.clean_rates, condition=Condition.CLOSE_UP
                )
                for _ in range(ATTEMPTS)
            )
            return [next((plan for plan in near if not any(mark in desc for desc in plan.descs)), photo)]
        case Withheld.FOREIGN:
            here = mission_named(mission).domain
            there = [
                theme for name, other in RULES.items() if mission_named(name).domain != here for theme in other.themes
            ]
            return [plan_scene(rng.getrandbits(40), theme=rng.choice(there))]


def write_withheld(out: Path, *, seed: int, count: int, missions: Sequence[str] = tuple(RULES)) -> Path:
    """Writes ``count`` tickets of each mission and kind with their photos, and ``out/tickets.jsonl``; returns its path."""
    out.mkdir(parents=True, exist_ok=True)
    records = []
    for mission in missions:
        for how in Withheld:
            for n in range(count if is_possible(mission, how) else 0):
                ticket = plan_withheld(seed * SEEDS_APART + n, mission, how)
                names = [f"{mission}/{how}-{n}-{k}.jpg" for k in range(1, len(ticket.photos) + 1)]
                (out / mission).mkdir(exist_ok=True)
                for photo, name in zip(ticket.photos, names, strict=True):
                    save_jpeg(photo.paint().image, out / name)
                records.append(ticket_record(ticket, names) | {"withheld": how.value})
    lines = (json.dumps(record, ensure_ascii=False) for record in records)
    return write_lines(out / "tickets.jsonl", lines, len(records))


def main() -> None:
    """Writes the tickets to the directory given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m scenes.withheld", description=__doc__)
    parser.add_argument("out", type=Path, help="output directory, created if missing")
    parser.add_argument("--count", type=int, default=10, help="tickets of each mission and kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(write_withheld(options.out, seed=options.seed, count=options.count))


if __name__ == "__main__":
    main()
