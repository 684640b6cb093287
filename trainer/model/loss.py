"""The loss of supervised tokens, from hidden states, without ever holding T x V logits.

Axes: S supervised positions, D width, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from trainer.model.coordinates import CoordinateTargets

LOGITS_AT_ONCE = 2**27
"""Most logits held at a time (float32: 512 MiB)."""


class TokenLoss(NamedTuple):
    """Sum of the loss over tokens (float32, differentiable), tokens predicted right and tokens in all (int64)."""

    total: torch.Tensor
    correct: torch.Tensor
    tokens: torch.Tensor


def next_token_loss(
    hidden_BTD: torch.Tensor,
    labels_BT: torch.Tensor,
    head: torch.nn.Module,
    *,
    before_BT: torch.Tensor | None = None,
    coordinates: CoordinateTargets | None = None,
    at_once: int = LOGITS_AT_ONCE,
) -> TokenLoss:
    """Cross-entropy of each label under the hidden state before it, -sum log softmax(head(h))[label], in float32.

    Labels of -100 are not trained. ``head`` maps D to V and runs in chunks of ``at_once`` logits, recomputed in the
    backward pass; it is called as a module, so that sharding and adapter hooks run. With ``coordinates`` the loss is the
    divergence from their spread targets, 0 when met; ``before_BT`` are then the input ids.
    """
    wanted = labels_BT[:, 1:] != -100
    hidden_SD, labels_S = hidden_BTD[:, :-1][wanted], labels_BT[:, 1:][wanted]
    before_S = before_BT[:, :-1][wanted] if coordinates is not None and before_BT is not None else labels_S
    rows = max(1, at_once // _vocabulary(head))
    parts = [
        checkpoint(_chunk, hidden, labels, before, head, coordinates, use_reentrant=False)
        if torch.is_grad_enabled()
        else _chunk(hidden, labels, before, head, coordinates)
        for hidden, labels, before in zip(
            hidden_SD.split(rows), labels_S.split(rows), before_S.split(rows), strict=True
        )
    ]
    total = torch.stack([part[0] for part in parts]).sum()
    correct = torch.stack([part[1] for part in parts]).sum()
    return TokenLoss(total, correct, torch.tensor(len(labels_S), device=total.device))


def _chunk(
    hidden_SD: torch.Tensor,
    labels_S: torch.Tensor,
    before_S: torch.Tensor,
    head: torch.nn.Module,
    coordinates: CoordinateTargets | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    logits_SV = head(hidden_SD).float()
    correct = (logits_SV.detach().argmax(-1) == labels_S).sum()
    if coordinates is None:
        return cross_entropy(logits_SV, labels_S, reduction="sum"), correct
    ids_SW, weights_SW = coordinates.on(logits_SV.device).spread(labels_S, before_S)
    log_p_SW = logits_SV.gather(1, ids_SW) - logits_SV.logsumexp(1, keepdim=True)
    return (torch.special.xlogy(weights_SW, weights_SW) - weights_SW * log_p_SW).sum(), correct


def _vocabulary(head: torch.nn.Module) -> int:
    size = getattr(head, "out_features", None)
    return int(size) if size is not None else int(next(head.parameters()).shape[0])
