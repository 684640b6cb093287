"""The losses of supervised tokens, from hidden states and in chunks: T x V logits never exist at once.

Axes: S supervised positions, D width, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import distributed
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from trainer.model.coordinates import CoordinateTargets
from trainer.model.direct_loss import direct_losses, supports_direct_losses
from trainer.model.encode import IGNORED
from trainer.model.targets import TeacherTargets

LOGITS_AT_ONCE = 2**27
"""Largest number of logits in memory at a time (in float32: 512 MiB)."""

TEACHER_SHARE = 2
"""With a teacher a position needs this many times the memory: two distributions instead of one."""


class TokenLoss(NamedTuple):
    """Sums over tokens.

    ``total`` is the cross-entropy and ``divergence`` that from the teacher (None without one), both float32 and
    differentiable. ``correct`` counts correct predictions, ``tokens`` all tokens (int64).
    """

    total: torch.Tensor
    correct: torch.Tensor
    tokens: torch.Tensor
    divergence: torch.Tensor | None = None


def next_token_loss(
    hidden_BTD: torch.Tensor,
    labels_BT: torch.Tensor,
    head: torch.nn.Module,
    *,
    places_S: torch.Tensor | None = None,
    before_BT: torch.Tensor | None = None,
    coordinates: CoordinateTargets | None = None,
    teacher: TeacherTargets | None = None,
    at_once: int = LOGITS_AT_ONCE,
    compiled: bool = False,
) -> TokenLoss:
    """Cross-entropy of each label under the hidden state before it: -sum log softmax(head(h))[label], in float32.

    Labels of -100 are not trained. ``head`` maps D to V and runs in chunks of ``at_once`` logits; it is called as a
    module, so that the hooks of sharding and adapters run. With ``coordinates`` the loss is the divergence from their soft
    targets, 0 if they are met; ``before_BT`` must then be the input ids. ``teacher`` covers the supervised positions in
    the order of ``places_S``, which are the labels' ``answer_places`` if they are known already. ``compiled`` compiles the
    operations behind a frozen head.
    """
    # Only supervised positions reach the head: prompts and image tokens, most of a row, never become logits.
    places_S = answer_places(labels_BT) if places_S is None else places_S
    hidden_SD, labels_S = at(places_S, hidden_BTD), at(places_S + 1, labels_BT)
    before_S = labels_S
    if coordinates is not None and before_BT is not None:
        before_S = at(places_S, before_BT)
    rows = _calls(len(labels_S), positions_at_once(head, at_once, teacher=teacher is not None), head)
    tokens = torch.full((), len(labels_S), device=hidden_SD.device)
    # A frozen head needs no gradient of its own, so the forward pass can finish the hidden states' gradients.
    if coordinates is None and hidden_SD.requires_grad and supports_direct_losses(head, teacher):
        total, correct, divergence = direct_losses(hidden_SD, labels_S, head, teacher, rows, compiled=compiled)
        return TokenLoss(total, correct, tokens, divergence if teacher is not None else None)
    columns = zip(hidden_SD.split(rows), labels_S.split(rows), before_S.split(rows), strict=True)
    chunks = teacher.split(rows) if teacher is not None else None
    parts = []
    for hidden, labels, before in columns:
        arguments = (hidden, labels, before, head, coordinates, next(chunks) if chunks is not None else None)
        if torch.is_grad_enabled():
            # Without checkpointing autograd would keep the logits of every chunk until backward: all T x V of them.
            parts.append(checkpoint(_chunk, *arguments, use_reentrant=False))
        else:
            parts.append(_chunk(*arguments))
    total, correct, divergence = (torch.stack(column).sum() for column in zip(*parts, strict=True))
    return TokenLoss(total, correct, tokens, divergence if teacher is not None else None)


def answer_places(labels_BT: torch.Tensor) -> torch.Tensor:
    """places_S whose next token is trained, counted through the rows end to end."""
    trained_BT = torch.zeros_like(labels_BT, dtype=torch.bool)
    trained_BT[:, :-1] = labels_BT[:, 1:] != IGNORED
    return trained_BT.view(-1).nonzero()[:, 0]


def at(places_S: torch.Tensor, values_BTX: torch.Tensor) -> torch.Tensor:
    """values_SX at places counted through the rows end to end."""
    return values_BTX.flatten(0, 1).index_select(0, places_S)


def positions_at_once(head: torch.nn.Module, at_once: int = LOGITS_AT_ONCE, *, teacher: bool = False) -> int:
    """Number of positions whose logits are in memory at a time, at least 1."""
    size = getattr(head, "out_features", None)
    vocabulary = int(size) if size is not None else int(next(head.parameters()).shape[0])
    return max(1, at_once // (vocabulary * (TEACHER_SHARE if teacher else 1)))


def _calls(positions: int, at_once: int, head: torch.nn.Module) -> list[int]:
    """Number of positions in each call of the head: ``at_once``, in the last call the remaining ones.

    ZeRO-3 gathers the head's weights in each call, on all ranks together: a rank that made fewer calls would leave the
    others waiting. So all ranks make as many calls as the one with most, with 0 positions where they have none left.
    """
    calls = max(1, -(-positions // at_once))
    if any(hasattr(parameter, "ds_id") for parameter in head.parameters()):
        most = torch.tensor(calls, device=next(head.parameters()).device)
        distributed.all_reduce(most, distributed.ReduceOp.MAX)
        calls = int(most)
    return [max(0, min(at_once, positions - call * at_once)) for call in range(calls)]


def _chunk(
    hidden_SD: torch.Tensor,
    labels_S: torch.Tensor,
    before_S: torch.Tensor,
    head: torch.nn.Module,
    coordinates: CoordinateTargets | None,
    teacher: TeacherTargets | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logits_SV = head(hidden_SD).float()
    correct = (logits_SV.detach().argmax(-1) == labels_S).sum()
    divergence = teacher.divergence(logits_SV).sum() if teacher is not None else logits_SV.new_zeros(())
    if coordinates is None:
        return cross_entropy(logits_SV, labels_S, reduction="sum"), correct, divergence
    ids_SW, weights_SW = coordinates.on(logits_SV.device).spread(labels_S, before_S)
    log_p_SW = logits_SV.gather(1, ids_SW) - logits_SV.logsumexp(1, keepdim=True)
    # The targets' own entropy is subtracted (xlogy is 0 at weight 0), so that a perfect prediction costs 0.
    loss = (torch.special.xlogy(weights_SW, weights_SW) - weights_SW * log_p_SW).sum()
    return loss, correct, divergence
