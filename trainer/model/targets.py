"""A teacher's targets for each supervised position in compact form: its hidden states, or its likeliest tokens.

Axes: S supervised positions, D width, V vocabulary, K likeliest tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from typing_extensions import override

from trainer.objectives.coarse import coarsen, likeliest
from trainer.objectives.divergence import JensenShannon, jensen_shannon


class TeacherTargets(Protocol):
    """A teacher's targets for S positions."""

    def split(self, rows: int | list[int]) -> Iterator[TeacherTargets]:
        """The targets in parts of ``rows`` positions each; a list gives the size of every part."""
        ...

    def divergence(self, logits_SV: torch.Tensor) -> torch.Tensor:
        """float32_S: the divergence of a student's logits from the teacher, differentiable in the logits."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenTargets(TeacherTargets):
    """The teacher's last hidden states, and its head, which computes logits from them chunk by chunk."""

    hidden_SD: torch.Tensor
    head: torch.nn.Module
    jsd: JensenShannon

    @override
    def split(self, rows: int | list[int]) -> Iterator[HiddenTargets]:
        for hidden_SD in self.hidden_SD.split(rows):
            yield HiddenTargets(hidden_SD=hidden_SD, head=self.head, jsd=self.jsd)

    @override
    def divergence(self, logits_SV: torch.Tensor) -> torch.Tensor:
        return self.jsd.of_logits(logits_SV, self.logits())

    def logits(self) -> torch.Tensor:
        """logits_SV of the teacher in its precision, without a graph."""
        with torch.no_grad():
            logits_SV: torch.Tensor = self.head(self.hidden_SD)
        return logits_SV

    def likeliest(self, count: int, rows: int) -> LikeliestTargets:
        """The teacher's ``count`` likeliest tokens of every position, computed for ``rows`` positions at a time."""
        with torch.no_grad():
            parts = [
                likeliest(self.jsd.log_probs(self.head(hidden_SD).float()), count)
                for hidden_SD in self.hidden_SD.split(rows)
            ]
        ids_SK, log_p_SK1 = (torch.cat(column) for column in zip(*parts, strict=True))
        return LikeliestTargets(ids_SK=ids_SK, log_p_SK1=log_p_SK1, jsd=self.jsd)


@dataclass(frozen=True, slots=True, kw_only=True)
class LikeliestTargets(TeacherTargets):
    """The teacher's likeliest tokens and their log-probabilities at ``jsd``'s temperature; the last column: all others."""

    ids_SK: torch.Tensor
    log_p_SK1: torch.Tensor
    jsd: JensenShannon

    @override
    def split(self, rows: int | list[int]) -> Iterator[LikeliestTargets]:
        for ids_SK, log_p_SK1 in zip(self.ids_SK.split(rows), self.log_p_SK1.split(rows), strict=True):
            yield LikeliestTargets(ids_SK=ids_SK, log_p_SK1=log_p_SK1, jsd=self.jsd)

    @override
    def divergence(self, logits_SV: torch.Tensor) -> torch.Tensor:
        log_s_SK1 = coarsen(self.jsd.log_probs(logits_SV), self.ids_SK)
        return jensen_shannon(log_s_SK1, self.log_p_SK1, beta=self.jsd.beta)
