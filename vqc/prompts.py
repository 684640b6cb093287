"""The prompt catalogue: every text of the prompts, shared by trainer and service.

The texts are in ``prompts.yaml``. A prompt puts the photos between two texts. For one photo, the photo comes first, so
that its cached prefix serves every mission. For a ticket, the guidance comes last, so that editing it keeps the photos'
cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import yaml

from vqc.missions import Mission

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
    """The prompt for all objects of one photo."""
    words = catalogue()["dense"]
    return Prompt(system=words["system"], after=words["user"])


def stage_a_prompt(mission: Mission) -> Prompt:
    """The prompt for one photo's line, with the mission's focus."""
    words = catalogue()["stage_a"]
    return Prompt(system=words["system"], after=words["user"].format(mission=mission.name, focus=mission.focus))


def stage_b_prompt(
    mission: Mission, summaries: Sequence[str] = (), guidance: Mapping[str, str] | None = None
) -> Prompt:
    """The prompt for a ticket's verdict: mission, (photos,) numbered summaries, then the active guidance.

    ``guidance`` maps rule ids to rules, in prompt order.
    """
    words = catalogue()["stage_b"]
    before = words["user"].format(mission=mission.name, focus=mission.focus, requirement=mission.requirement)
    blocks = []
    if summaries:
        blocks += [words["summaries"], *(f"{n}. {line}" for n, line in enumerate(summaries, start=1))]
    if guidance:
        blocks += [words["guidance"], *(f"[{key}] {rule}" for key, rule in guidance.items())]
    return Prompt(system=words["system"], before=before, after="\n".join([*blocks, words["question"]]))


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """The texts of ``prompts.yaml`` by task and part."""
    return yaml.safe_load(files("vqc").joinpath("prompts.yaml").read_text("utf-8"))
