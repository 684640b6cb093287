"""The losses over a frozen head with their gradients in the hidden states made on the way: no logits are computed twice.

Cross-entropy's gradient in the logits is softmax - one-hot, the divergence's has a closed form
(``trainer.objectives.divergence``); both go through the head at once, and only hidden-sized gradients wait for backward.

Axes: S supervised positions, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from trainer.model.targets import HiddenTargets, Targets


def can_be_direct(head: nn.Module, teacher: Targets | None) -> bool:
    """Whether the head is a frozen linear layer with its weights at hand, and the teacher speaks of the whole vocabulary."""
    if type(head) is not nn.Linear or any(parameter.requires_grad for parameter in head.parameters()):
        return False
    gathered = hasattr(head.weight, "ds_id")  # by ZeRO-3, while the layer is called and not after
    return not gathered and (teacher is None or isinstance(teacher, HiddenTargets))


def direct(
    hidden_SD: torch.Tensor, labels_S: torch.Tensor, head: nn.Module, teacher: Targets | None, rows: list[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sums over the positions, ``rows[n]`` at a time: cross-entropy, right predictions, divergence (0 without a teacher)."""
    found: Any = _Direct.apply(hidden_SD, labels_S, head, teacher, rows)
    return found


class _Direct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_SD: torch.Tensor, labels_S: torch.Tensor, head: Any, teacher: Any, rows: list[int]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        total, divergence = (torch.zeros((), device=hidden_SD.device) for _ in range(2))
        correct = torch.zeros((), dtype=torch.long, device=hidden_SD.device)
        pulls, teacher_pulls = [], []
        spoken = teacher.split(rows) if teacher is not None else None
        for hidden, labels in zip(hidden_SD.detach().split(rows), labels_S.split(rows), strict=True):
            raw_SV = head(hidden)
            logits_SV = raw_SV.float()
            if spoken is not None:
                divergence_S, slope_SV = next(spoken).with_gradient(logits_SV)
                divergence = divergence + divergence_S.sum()
                teacher_pulls.append(slope_SV.to(raw_SV.dtype) @ head.weight.to(raw_SV.dtype))
                del slope_SV
            correct = correct + (logits_SV.argmax(-1) == labels).sum()
            log_p_SV = logits_SV.log_softmax(-1)
            total = total - log_p_SV.gather(1, labels[:, None]).sum()
            slope_SV = log_p_SV.exp_().scatter_add_(1, labels[:, None], -torch.ones_like(log_p_SV[:, :1]))
            pulls.append(slope_SV.to(raw_SV.dtype) @ head.weight.to(raw_SV.dtype))
        ctx.save_for_backward(torch.cat(pulls), *([torch.cat(teacher_pulls)] if teacher_pulls else []))
        ctx.given = hidden_SD.dtype
        ctx.mark_non_differentiable(correct)
        return total, correct, divergence

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_total: torch.Tensor, _: Any, by_divergence: torch.Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        pull_SD, *teacher_pull_SD = ctx.saved_tensors
        gradient_SD = pull_SD * by_total
        if teacher_pull_SD:
            gradient_SD = gradient_SD + teacher_pull_SD[0] * by_divergence
        return gradient_SD.to(ctx.given), None, None, None, None
