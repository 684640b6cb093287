"""Feature distances against their formulas, and the vision term put together of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainer.model.distillation import FeatureTarget, Objective
from trainer.model.vision import VisionFeatures
from trainer.objectives.divergence import JensenShannon
from trainer.objectives.features import Distance, feature_distance


def reference(student: np.ndarray, teacher: np.ndarray, distance: str) -> np.ndarray:
    if distance == "mse":
        return ((student - teacher) ** 2).mean(-1)
    norms = np.sqrt((student**2).sum(-1)) * np.sqrt((teacher**2).sum(-1))
    return 1 - (student * teacher).sum(-1) / norms


def pair(seed: int = 0, shape: tuple[int, int] = (4, 6)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape), rng.normal(size=shape)


@pytest.mark.parametrize("distance", ["mse", "cosine"])
def test_equals_the_formula_and_its_finite_differences(distance: Distance) -> None:
    student, teacher = pair()
    moved = torch.from_numpy(student).requires_grad_()
    found = feature_distance(moved, torch.from_numpy(teacher), distance)
    np.testing.assert_allclose(found.detach().numpy(), reference(student, teacher, distance), rtol=1e-12)
    found.sum().backward()
    for place in np.ndindex(student.shape):
        up, down = student.copy(), student.copy()
        up[place] += 1e-6
        down[place] -= 1e-6
        slope = (reference(up, teacher, distance) - reference(down, teacher, distance)).sum() / 2e-6
        assert moved.grad is not None
        assert moved.grad[place].item() == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("distance", ["mse", "cosine"])
def test_equal_features_are_exactly_0_apart(distance: Distance) -> None:
    same = torch.randn(5, 300, generator=torch.Generator().manual_seed(0), requires_grad=True)
    value = feature_distance(same, same.detach().clone(), distance)
    value.sum().backward()
    assert value.tolist() == [0.0] * 5
    assert same.grad is not None
    assert not same.grad.any()


def test_half_precision_is_compared_in_float32() -> None:
    student, teacher = (torch.from_numpy(x).bfloat16() for x in pair())
    assert feature_distance(student, teacher, "mse").dtype is torch.float32


def test_another_architecture_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(4, 6\), the teacher's \(4, 5\)"):
        feature_distance(torch.zeros(4, 6), torch.zeros(4, 5), "mse")


def test_the_term_is_the_mean_of_weighted_kinds_and_deepstack_the_mean_of_its_layers() -> None:
    student, teacher = (
        VisionFeatures(merged_MD=torch.from_numpy(a), deepstack=(torch.from_numpy(b), torch.from_numpy(c)))
        for a, b, c in zip(pair(1), pair(2), pair(3), strict=True)
    )
    objective = Objective(
        jsd=JensenShannon(beta=0.5), sft_weight=1, llm_weight=1,
        merger=FeatureTarget(weight=0.3, distance="cosine"), deepstack=FeatureTarget(weight=2.0, distance="mse"),
    )  # fmt: skip
    merger = 0.3 * reference(*pair(1), "cosine").sum()
    deepstack = 2.0 * (reference(*pair(2), "mse").sum() + reference(*pair(3), "mse").sum()) / 2
    assert objective.vision_total(student, teacher).item() == pytest.approx((merger + deepstack) / 2)
