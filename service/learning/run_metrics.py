"""``metrics.json`` of one mission: every pass, the risk-coverage curve of the last one, and the changes of the guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from service.guidance.guidance import Guidance, diff
from service.learning.metrics import SelectedTicket, curve, measures
from vqc.missions import Mission


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochResult:
    """One pass over all tickets of a mission, under one guidance."""

    epoch: int
    guidance: Guidance
    selected: tuple[SelectedTicket, ...]


def mission_metrics(
    mission: Mission, epochs: Sequence[EpochResult], first: Guidance, last: Guidance, *, model: str
) -> dict[str, Any]:
    """The content of ``metrics.json``; shares are as in ``metrics``."""
    return {
        "mission": mission.name,
        "model": model,
        "epochs": [
            {
                "epoch": one.epoch,
                "guidance": one.guidance.digest,
                "guidance_step": one.guidance.step,
                **measures(one.selected),
            }
            for one in epochs
        ],
        "risk_coverage": curve(epochs[-1].selected),
        "guidance": {
            "first": first.digest,
            "last": last.digest,
            "changes": [asdict(change) for change in diff(first, last)],
        },
    }
