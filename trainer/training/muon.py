"""Muon for the hidden matrices, AdamW for everything else, as one optimizer.

Muon (Jordan 2024; PyTorch's ``torch.optim.Muon``) orthogonalises the momentum of a matrix. Embeddings, the position
table, norms and biases are not hidden matrices and keep AdamW. Updates are scaled to the size of AdamW's (Moonlight, Liu
2025), so one learning rate fits both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from typing_extensions import override

MATRIX_DIMENSIONS = 2


def is_hidden_matrix(name: str, parameter: torch.nn.Parameter) -> bool:
    """Whether Muon takes a parameter.

    >>> weight = torch.nn.Parameter(torch.zeros(2, 2))
    >>> [is_hidden_matrix(name, weight) for name in ("layers.0.mlp.up_proj.weight", "embed_tokens.weight")]
    [True, False]
    """
    return parameter.ndim == MATRIX_DIMENSIONS and not any(table in name for table in ("embed", "lm_head"))


class MuonWithAdamW(torch.optim.Optimizer):
    """Steps ``torch.optim.Muon`` and ``torch.optim.AdamW`` together. Its groups are theirs, so a scheduler changes both."""

    def __init__(self, muon: list[dict[str, Any]], adamw: list[dict[str, Any]], **adamw_options: Any) -> None:
        self.parts: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(muon, lr=adamw_options["lr"], adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(adamw, **adamw_options),
        )
        super().__init__([*muon, *adamw], {"lr": adamw_options["lr"]})
        self._share_groups()

    @override
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()

    def _share_groups(self) -> None:
        # The base class copies the groups, and loading a state replaces them: the scheduler must change the parts' own.
        self.param_groups = [group for part in self.parts for group in part.param_groups]
