"""The losses over a frozen head, with the gradients in the hidden states computed in the forward pass.

The gradient of cross-entropy in the logits is softmax - one-hot, that of the divergence has a closed form
(``trainer.objectives.divergence``). Both go through the head at once, so no logits are computed twice, and only gradients
of the size of the hidden states are kept for the backward pass.

Axes: S supervised positions, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from trainer.model.targets import HiddenTargets, TeacherTargets
from trainer.objectives.divergence import JensenShannon


def supports_direct_losses(head: nn.Module, teacher: TeacherTargets | None) -> bool:
    """Whether the head is a frozen linear layer with accessible weights, and the teacher covers the whole vocabulary."""
    if type(head) is not nn.Linear or any(parameter.requires_grad for parameter in head.parameters()):
        return False
    gathered = hasattr(head.weight, "ds_id")  # ZeRO-3 holds the whole weight only while the layer itself is called
    return not gathered and (teacher is None or isinstance(teacher, HiddenTargets))


def direct_losses(
    hidden_SD: torch.Tensor,
    labels_S: torch.Tensor,
    head: nn.Module,
    teacher: TeacherTargets | None,
    rows: list[int],
    *,
    compiled: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sums over the positions: cross-entropy, correct predictions, divergence (0 without a teacher).

    Call n of the head takes ``rows[n]`` positions. ``compiled`` fuses the operations on the logits, which are otherwise
    written and read a dozen times.
    """
    found: Any = _DirectLosses.apply(
        hidden_SD, labels_S, head, teacher, rows, _compiled_logit_terms() if compiled else _logit_terms
    )
    return found


class _LogitTerms(NamedTuple):
    """Sums over S positions, and their slopes_SV in the student's logits (of the divergence only with a teacher)."""

    total: torch.Tensor
    correct: torch.Tensor
    slope_SV: torch.Tensor
    divergence: torch.Tensor | None = None
    divergence_slope_SV: torch.Tensor | None = None


def _logit_terms(
    raw_SV: torch.Tensor, labels_S: torch.Tensor, teacher_SV: torch.Tensor | None, jsd: JensenShannon | None
) -> _LogitTerms:
    """The sums in float32, the slopes in the precision of the logits."""
    # The divergence comes first and its float32 slope is released, so that the two losses do not hold memory together.
    divergence = divergence_slope_SV = None
    if teacher_SV is not None and jsd is not None:
        divergence_S, slope_SV = jsd.with_gradient(raw_SV, teacher_SV)
        divergence, divergence_slope_SV = divergence_S.sum(), slope_SV.to(raw_SV.dtype)
        del slope_SV
    logits_SV, labels_S1 = raw_SV.float(), labels_S[:, None]
    correct = (logits_SV.argmax(-1) == labels_S).sum()
    log_p_SV = logits_SV.log_softmax(-1)
    own_S1 = log_p_SV.gather(1, labels_S1)
    # softmax - one-hot; at the label expm1(log p) = p - 1, which stays exact where p is close to 1.
    slope_SV = log_p_SV.exp_().to(raw_SV.dtype).scatter_(1, labels_S1, own_S1.expm1().to(raw_SV.dtype))
    return _LogitTerms(-own_S1.sum(), correct, slope_SV, divergence, divergence_slope_SV)


@cache
def _compiled_logit_terms() -> Callable[..., _LogitTerms]:
    return torch.compile(_logit_terms)


class _DirectLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_SD: torch.Tensor,
        labels_S: torch.Tensor,
        head: Any,
        teacher: Any,
        rows: list[int],
        logit_terms: Callable[..., _LogitTerms],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        total, divergence = (torch.zeros((), device=hidden_SD.device) for _ in range(2))
        correct = torch.zeros((), dtype=torch.long, device=hidden_SD.device)
        pulls, teacher_pulls = [], []
        chunks = teacher.split(rows) if teacher is not None else None
        for hidden, labels in zip(hidden_SD.detach().split(rows), labels_S.split(rows), strict=True):
            raw_SV, chunk = head(hidden), next(chunks) if chunks is not None else None
            teacher_SV = chunk.logits() if chunk is not None else None
            for by_position in (raw_SV, labels) if teacher_SV is None else (raw_SV, labels, teacher_SV):
                torch._dynamo.maybe_mark_dynamic(by_position, 0)  # one graph for any number of positions
            found = logit_terms(raw_SV, labels, teacher_SV, chunk.jsd if chunk is not None else None)
            # The slope goes through the head now, while the logits exist: what remains has D numbers, not V.
            weight_VD = head.weight.to(raw_SV.dtype)
            total, correct = total + found.total, correct + found.correct
            pulls.append(found.slope_SV @ weight_VD)
            if found.divergence is not None:
                divergence = divergence + found.divergence
                teacher_pulls.append(found.divergence_slope_SV @ weight_VD)
        ctx.save_for_backward(torch.cat(pulls), *([torch.cat(teacher_pulls)] if teacher_pulls else []))
        ctx.given = hidden_SD.dtype
        ctx.mark_non_differentiable(correct)
        return total, correct, divergence

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_total: torch.Tensor, _: Any, by_divergence: torch.Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        # Both sums are linear in their slopes: the factors of the loss (weights, 1 / tokens) arrive only here.
        pull_SD, *teacher_pull_SD = ctx.saved_tensors
        gradient_SD = pull_SD * by_total
        if teacher_pull_SD:
            gradient_SD = gradient_SD + teacher_pull_SD[0] * by_divergence
        return gradient_SD.to(ctx.given), None, None, None, None, None
