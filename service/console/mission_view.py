"""What the console shows of a mission's inspection: where it comes from, and exactly what the model is asked."""

from __future__ import annotations

from dataclasses import dataclass

from service.guidance.guidance import Guidance
from service.models.roles import ServedModel
from vqc.inspection import Inspection
from vqc.missions import Mission, active
from vqc.prompts import Prompt, stage_a_prompt, stage_b_prompt

_LINE = "…"
"""In the place of a photo's line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPrompt:
    """One prompt as it is sent: the texts around the photos."""

    task: str  # stage_a | stage_b
    prompt: Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionOrigin:
    """A mission's inspection, and whether the served model was trained on the mission."""

    inspection: Inspection
    trained: bool


def origin_of(mission: Mission, model: ServedModel) -> MissionOrigin | None:
    """Where the mission comes from; None if a swap has just removed it."""
    owner = next((one for one in active().inspections if mission.name in one.missions), None)
    return MissionOrigin(inspection=owner, trained=mission.name not in model.untrained) if owner else None


def asked_prompts(mission: Mission, guidance: Guidance) -> tuple[AskedPrompt, ...]:
    """The prompts of the mission: for one photo, and for a ticket of one photo under this guidance."""
    with_focus = mission.model_copy(update={"focus": guidance.focus})
    return (
        AskedPrompt(task="stage_a", prompt=stage_a_prompt(mission)),
        AskedPrompt(task="stage_b", prompt=stage_b_prompt(with_focus, (_LINE,), guidance.prompt_rules)),
    )
