"""Whether a mission releases a 通过 by itself now, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.guidance.guidance import Guidance
from service.judging.calibration import Calibration
from service.judging.decision import ReleaseRule
from service.judging.sampler import Sampler
from service.judging.thresholds import Thresholds


class ReleaseCause(StrEnum):
    """Why a mission releases, or does not."""

    CALIBRATED = "calibrated"
    NOTHING_CERTIFIED = "nothing_certified"
    """It is calibrated, and no score keeps the risk within the budget."""
    NOT_CALIBRATED = "not_calibrated"
    BY_RULE = "by_rule"
    """It is not calibrated, and the operator has chosen to release all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseState:
    """``calibration`` is the one that is valid now, if any."""

    cause: ReleaseCause
    calibration: Calibration | None

    @property
    def releases(self) -> bool:
        """Whether a 通过 can leave without a person."""
        return self.cause in (ReleaseCause.CALIBRATED, ReleaseCause.BY_RULE)


@dataclass(frozen=True, slots=True)
class ReleaseStates:
    """The release states of missions under one sampler and rule, read from the stored calibrations."""

    thresholds: Thresholds
    sampler: Sampler
    rule: ReleaseRule

    def read(self, guidance: Guidance, model: str) -> ReleaseState:
        """The state of the guidance's mission while this version and the model of this digest are active.

        Raises:
            InvalidValue: the stored calibration is damaged.
        """
        found = self.thresholds.find(guidance, model=model, sampler=self.sampler.digest)
        if found is not None:
            cause = ReleaseCause.NOTHING_CERTIFIED if found.threshold is None else ReleaseCause.CALIBRATED
        else:
            strict = self.rule is ReleaseRule.CALIBRATED
            cause = ReleaseCause.NOT_CALIBRATED if strict else ReleaseCause.BY_RULE
        return ReleaseState(cause=cause, calibration=found)
