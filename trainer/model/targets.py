"""What a teacher says of each supervised position, small enough to keep: hidden states, or its likeliest tokens.

Axes: S supervised positions, D width, V vocabulary, K likeliest tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

from trainer.objectives.coarse import coarsen, likeliest
from trainer.objectives.divergence import JensenShannon, jensen_shannon


class TeacherTargets(Protocol):
    """A teacher's word on S positions."""

    def split(self, rows: int | list[int]) -> Iterator[TeacherTargets]:
        """The same in parts of ``rows`` positions, or of as many as each of them says."""
        ...

    def divergence(self, logits_SV: torch.Tensor) -> torch.Tensor:
        """float32_S of a student's logits from it, differentiable in the logits."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenTargets:
    """The teacher's last hidden states and its head, which makes logits of them a part at a time."""

    hidden_SD: torch.Tensor
    head: torch.nn.Module
    jsd: JensenShannon

    def split(self, rows: int | list[int]) -> Iterator[HiddenTargets]:
        """The same in parts of ``rows`` positions, or of as many as each of them says."""
        for hidden_SD in self.hidden_SD.split(rows):
            yield HiddenTargets(hidden_SD=hidden_SD, head=self.head, jsd=self.jsd)

    def divergence(self, logits_SV: torch.Tensor) -> torch.Tensor:
        """float32_S over the whole vocabulary."""
        return self.jsd.of_logits(logits_SV, self.logits())

    def logits(self) -> torch.Tensor:
        """logits_SV of the teacher, without a graph, in its precision."""
        with torch.no_grad():
            logits_SV: torch.Tensor = self.head(self.hidden_SD)
        return logits_SV

    def likeliest(self, count: int, rows: int) -> LikeliestTargets:
        """The teacher's ``count`` likeliest tokens of every position, ``rows`` positions at a time."""
        with torch.no_grad():
            parts = [
                likeliest(self.jsd.log_probs(self.head(hidden_SD).float()), count)
                for hidden_SD in self.hidden_SD.split(rows)
            ]
        ids_SK, log_p_SK1 = (torch.cat(column) for column in zip(*parts, strict=True))
        return LikeliestTargets(ids_SK=ids_SK, log_p_SK1=log_p_SK1, jsd=self.jsd)


@dataclass(frozen=True, slots=True, kw_only=True)
class LikeliestTargets:
    """The teacher's likeliest tokens and their log-probabilities at ``jsd``'s temperature; last column: all others."""

    ids_SK: torch.Tensor
    log_p_SK1: torch.Tensor
    jsd: JensenShannon

    def split(self, rows: int | list[int]) -> Iterator[LikeliestTargets]:
        """The same in parts of ``rows`` positions, or of as many as each of them says."""
        for ids_SK, log_p_SK1 in zip(self.ids_SK.split(rows), self.log_p_SK1.split(rows), strict=True):
            yield LikeliestTargets(ids_SK=ids_SK, log_p_SK1=log_p_SK1, jsd=self.jsd)

    def divergence(self, logits_SV: torch.Tensor) -> torch.Tensor:
        """float32_S between the coarsened distributions."""
        log_s_SK1 = coarsen(self.jsd.log_probs(logits_SV), self.ids_SK)
        return jensen_shannon(log_s_SK1, self.log_p_SK1, beta=self.jsd.beta)
