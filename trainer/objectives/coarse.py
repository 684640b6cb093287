"""Distributions over a teacher's likeliest tokens and one outcome for all others: small enough to store on disk.

Axes: S positions, V vocabulary, K likeliest tokens, one more for the rest.
"""

from __future__ import annotations

import torch


def coarsen(log_p_SV: torch.Tensor, ids_SK: torch.Tensor) -> torch.Tensor:
    """log-probabilities_S(K+1) of the given tokens and, last, of all others together; the probabilities sum to 1.

    A divergence between two coarsened distributions is at most that between the distributions (data processing
    inequality, Csiszár 1967), and 0 when they are equal. K must be below V.
    """
    rest_S1 = log_p_SV.scatter(-1, ids_SK, float("-inf")).logsumexp(-1, keepdim=True)
    return torch.cat([log_p_SV.gather(-1, ids_SK), rest_S1], -1)


def likeliest(log_p_SV: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids_SK, log-probabilities_S(K+1)) of the ``count`` likeliest tokens (at most V - 1) and of the rest."""
    ids_SK = log_p_SV.topk(min(count, log_p_SV.shape[-1] - 1), dim=-1).indices
    return ids_SK, coarsen(log_p_SV, ids_SK)
