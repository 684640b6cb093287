"""Tickets composed of photos that are already drawn: far more tickets than photos, with exact verdicts.

A verdict must come from what the photos show. So a photo stands in tickets of both verdicts, and what takes the evidence
away (an unreadable photo, a close-up past the item, another site's photo, no photo) also stands in tickets that pass.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from scenes.defect_rates import Hidden, Theme
from scenes.rules import RULES, MissionRules, true_verdict
from scenes.tickets import CARRIER
from vqc.missions import mission_named
from vqc.verdict import Verdict, VerdictAnswer

ATTEMPTS = 200
STRANGE_SHARE = 0.3
"""Share of tickets with a photo that shows nothing of the mission, whatever the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFacts:
    """A drawn photo: its file, what its labels say, its Stage-A line, and the flaw that none of them names."""

    image: str
    theme: Theme
    descs: tuple[str, ...]
    line: str
    hidden: Hidden | None = None


class Story(StrEnum):
    """Why a ticket passes or fails."""

    PASSES = "passes"
    FLAWED = "flawed"
    HIDDEN = "hidden"
    LACKING = "lacking"


STORIES = {Story.PASSES: 0.43, Story.FLAWED: 0.25, Story.HIDDEN: 0.14, Story.LACKING: 0.18}
"""Shares of tickets. Where the evidence is lines alone, hidden flaws are left out: no line can tell them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedTicket:
    """Photos for one mission, and the verdict that they deserve."""

    mission: str
    photos: tuple[PhotoFacts, ...]
    answer: VerdictAnswer


class MissionPhotos:
    """The photos of a pool as one mission sees them."""

    def __init__(self, mission: str, pool: Sequence[PhotoFacts]) -> None:
        rules = RULES[mission]
        self.mission, self.rules = mission, rules
        self.clean: dict[Theme, list[PhotoFacts]] = {theme: [] for theme in rules.themes}
        self.flawed: list[PhotoFacts] = []
        self.hidden: list[PhotoFacts] = []
        self.strange: list[PhotoFacts] = []
        here = mission_named(mission).domain
        at_home = {
            theme for name, other in RULES.items() if mission_named(name).domain == here for theme in other.themes
        }
        for photo in pool:
            if not photo.descs or photo.theme not in at_home:
                self.strange.append(photo)
            elif photo.theme in rules.themes:
                self._sort(photo, rules)

    def _sort(self, photo: PhotoFacts, rules: MissionRules) -> None:
        if any(breaks(desc) for breaks in rules.violations.values() for desc in photo.descs):
            self.flawed.append(photo)
        elif photo.hidden is None:
            self.clean[photo.theme].append(photo)
        elif self._has_hidden_flaw(photo):
            self.hidden.append(photo)

    def _has_hidden_flaw(self, photo: PhotoFacts) -> bool:
        """Whether a photo shows this mission's hidden flaw."""
        flaw = photo.hidden
        return flaw is not None and flaw is self.rules.hidden and any(d.startswith(CARRIER[flaw]) for d in photo.descs)

    def compose(self, rng: random.Random, *, lines_only: bool = False) -> ComposedTicket:
        """A ticket with a random story.

        Raises:
            RuntimeError: the pool has no photos for it.
        """
        stories = [story for story in STORIES if not (lines_only and story is Story.HIDDEN)]
        story = rng.choices(stories, [STORIES[story] for story in stories])[0]
        wanted = Verdict.PASS if story is Story.PASSES else Verdict.FAIL
        for _ in range(ATTEMPTS):
            photos = self._choose(rng, story)
            if not photos:
                continue
            flaw = next((n for n, photo in enumerate(photos) if self._has_hidden_flaw(photo)), None)
            hidden = None if flaw is None or self.rules.hidden is None else (flaw, self.rules.hidden)
            answer = true_verdict(self.mission, [photo.descs for photo in photos], hidden)
            if answer.verdict is wanted:
                return ComposedTicket(mission=self.mission, photos=tuple(photos), answer=answer)
        raise RuntimeError(f"the photos make no ticket of {self.mission!r} that is {story}")

    def _choose(self, rng: random.Random, story: Story) -> list[PhotoFacts]:
        if story is Story.LACKING:
            return self._without_an_item(rng)
        themes = list(self.rules.themes)
        count = rng.choices((1, 2, 3, 4), (0.1, 0.4, 0.35, 0.15))[0]
        themes += [rng.choice(self.rules.themes) for _ in range(count - len(themes))]
        photos = [rng.choice(self.clean[theme]) for theme in themes]
        if story is not Story.PASSES:
            bad = rng.choice(self.flawed if story is Story.FLAWED else self.hidden)
            photos[rng.choice([n for n, photo in enumerate(photos) if photo.theme is bad.theme])] = bad
        if rng.random() < STRANGE_SHARE:
            photos.append(rng.choice(self.strange))
        rng.shuffle(photos)
        return photos

    def _without_an_item(self, rng: random.Random) -> list[PhotoFacts]:
        """Photos none of which shows one required item, with or without what stands in its place."""
        mark = rng.choice(list(self.rules.required.values()))
        count, photos = rng.choices((1, 2, 3), (0.35, 0.4, 0.25))[0], list[PhotoFacts]()
        for _ in range(count):
            if rng.random() < 0.4:
                photos.append(rng.choice(self.strange))
                continue
            for _ in range(ATTEMPTS // 10):
                photo = rng.choice(self.clean[rng.choice(self.rules.themes)])
                if not any(mark in desc for desc in photo.descs):
                    photos.append(photo)
                    break
        return photos
