"""How tickets are sampled: the evidence that the model sees, the waves, and the adaptive stop."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from service.judging.rollouts import PlanEntry
from vqc.contract import digest
from vqc.errors import InvalidValue


class EvidenceKind(StrEnum):
    """The evidence of a ticket that the model sees."""

    SUMMARIES = "summaries"
    IMAGES = "images"
    BOTH = "both"

    @property
    def shows_summaries(self) -> bool:
        """Whether the Stage-A lines are in the prompt."""
        return self is not EvidenceKind.IMAGES

    @property
    def shows_images(self) -> bool:
        """Whether the photos are in the prompt."""
        return self is not EvidenceKind.SUMMARIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """One wave is one engine request (``rollouts.plan``). ``adaptive`` is the certainty of the majority, 0.5 to 1, above
    which a ticket's remaining waves are skipped; None samples the whole plan.

    >>> from engine.protocol import DecodingParams
    >>> from service.judging.rollouts import plan
    >>> waves = plan([DecodingParams(max_new_tokens=64, temperature=t) for t in (0.2, 0.6)], 4)
    >>> Sampler(waves=waves, adaptive=0.95).sample_count
    8

    Raises:
        InvalidValue: no wave, or a certainty outside 0.5 to 1.
    """

    waves: tuple[PlanEntry, ...]
    evidence: EvidenceKind = EvidenceKind.SUMMARIES
    adaptive: float | None = None

    def __post_init__(self) -> None:
        if not self.waves:
            raise InvalidValue("sampler.grid", self.waves, "must have at least one decode setting")
        if self.adaptive is not None and not 0.5 <= self.adaptive < 1:
            raise InvalidValue("sampler.adaptive", self.adaptive, "valid: 0.5 up to but not including 1")

    @property
    def sample_count(self) -> int:
        """The samples of the whole plan."""
        return sum(wave.n for wave in self.waves)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the fields; a calibration is valid for one sampler only."""
        fields = asdict(self)
        for wave in fields["waves"]:
            wave["knobs"] = wave.pop("decoding")  # the name that the digests of stored calibrations were made with
        return digest(fields)
