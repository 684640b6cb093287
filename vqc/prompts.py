"""Builds the prompts that trainer and service share from an inspection's texts.

A prompt puts the photos between two texts. For one photo, the photo comes first, so
that its cached prefix serves every mission. For a ticket, the guidance comes last, so that editing it keeps the photos'
cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from vqc.mission import Mission
from vqc.missions import active

_Image = TypeVar("_Image")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One chat turn without its photos: system text, then the user's ``before``, the photos, the user's ``after``."""

    system: str
    before: str = ""
    after: str

    def messages(self, images: Sequence[object] = ()) -> list[dict[str, Any]]:
        """The turn as chat messages with each photo under the key ``image``, in the format of Hugging Face templates.

        >>> dense_prompt().messages(["a.jpg"])[1]["content"][0]
        {'type': 'image', 'image': 'a.jpg'}
        """
        before = [{"type": "text", "text": self.before}] if self.before else []
        photos = [{"type": "image", "image": image} for image in images]
        return [
            {"role": "system", "content": [{"type": "text", "text": self.system}]},
            {"role": "user", "content": [*before, *photos, {"type": "text", "text": self.after}]},
        ]

    def parts(self, images: Sequence[_Image]) -> tuple[str | _Image, ...]:
        """The user's turn of an engine request: ``before`` if it is not empty, the images, ``after``.

        >>> Prompt(system="", before="任务", after="结论？").parts(["photo 1", "photo 2"])
        ('任务', 'photo 1', 'photo 2', '结论？')
        >>> Prompt(system="", after="描述").parts(["photo"])
        ('photo', '描述')
        """
        return (*filter(None, [self.before]), *images, self.after)


def dense_prompt() -> Prompt:
    """The prompt for all objects of one photo, of the first active inspection."""
    texts = active().inspections[0].prompts.dense
    return Prompt(system=texts.system, after=texts.user)


def stage_a_prompt(mission: Mission) -> Prompt:
    """The prompt for one photo's line, with the mission's focus."""
    texts = mission.prompts.stage_a
    return Prompt(system=texts.system, after=texts.user.format(mission=mission.name, focus=mission.focus))


def stage_b_prompt(
    mission: Mission, summaries: Sequence[str] = (), guidance: Mapping[str, str] | None = None
) -> Prompt:
    """The prompt for a ticket's verdict: mission, (photos,) numbered summaries, then the active guidance.

    ``guidance`` maps rule ids to rules, in prompt order.
    """
    texts = mission.prompts.stage_b
    before = texts.user.format(mission=mission.name, focus=mission.focus, requirement=mission.requirement)
    blocks = []
    if summaries:
        blocks += [texts.summaries, *(f"{n}. {line}" for n, line in enumerate(summaries, start=1))]
    if guidance:
        blocks += [texts.guidance, *(f"[{key}] {rule}" for key, rule in guidance.items())]
    return Prompt(system=texts.system, before=before, after="\n".join([*blocks, texts.question]))
