"""The divergences against float64 references written from the papers' formulas, with the mixture formed in full."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.divergence import reference
from trainer.objectives.coarse import coarsen, likeliest
from trainer.objectives.divergence import JensenShannon, jensen_shannon

BETAS = [0.0, 0.05, 0.1, 0.5, 0.9, 1.0]
TEMPERATURES = [1.0, 2.0]


def logits(seed: int, *, scale: float = 3.0, shape: tuple[int, int] = (7, 31)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * scale, rng.normal(size=shape) * scale


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("beta", BETAS)
def test_equals_the_formula(beta: float, temperature: float) -> None:
    student, teacher = logits(1)
    jsd = JensenShannon(beta=beta, temperature=temperature)
    wanted = reference(student, teacher, beta, temperature)
    exact = jsd.of_logits(torch.from_numpy(student), torch.from_numpy(teacher)).numpy()
    np.testing.assert_allclose(exact, wanted, rtol=1e-11, atol=1e-13)
    single = jsd.of_logits(torch.from_numpy(student).float(), torch.from_numpy(teacher).float())
    assert single.dtype is torch.float32
    np.testing.assert_allclose(single.numpy(), wanted, rtol=2e-5)


@pytest.mark.parametrize(
    ("beta", "wanted"), [(0.0, 0.3681), (0.1, 0.0336), (0.5, 0.1017), (0.9, 0.0431), (1.0, 0.5108)]
)
def test_two_outcomes_as_worked_out_by_hand(beta: float, wanted: float) -> None:
    student, teacher = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
    assert jensen_shannon(student, teacher, beta=beta).item() == pytest.approx(wanted, abs=5e-5)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("beta", BETAS)
def test_gradient_equals_finite_differences(beta: float, temperature: float) -> None:
    student, teacher = logits(2, shape=(2, 5))
    given_logits = torch.from_numpy(student).requires_grad_()
    jsd = JensenShannon(beta=beta, temperature=temperature)
    jsd.of_logits(given_logits, torch.from_numpy(teacher)).sum().backward()
    step = 1e-6
    for place in np.ndindex(student.shape):
        up, down = student.copy(), student.copy()
        up[place] += step
        down[place] -= step
        sums = [reference(moved, teacher, beta, temperature).sum() for moved in (up, down)]
        assert given_logits.grad is not None
        assert given_logits.grad[place].item() == pytest.approx((sums[0] - sums[1]) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("beta", BETAS)
def test_equal_models_are_exactly_0_apart_and_feel_no_pull(beta: float) -> None:
    same = torch.randn(5, 2000, generator=torch.Generator().manual_seed(0)).mul(4).requires_grad_()
    value = JensenShannon(beta=beta).of_logits(same, same.detach().clone())
    assert value.tolist() == [0.0] * 5
    value.sum().backward()
    assert same.grad is not None
    assert same.grad.abs().max() < 1e-6


@pytest.mark.parametrize("beta", BETAS)
def test_opposite_models_are_finite(beta: float) -> None:
    student = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    value = JensenShannon(beta=beta).of_logits(student, torch.tensor([[-200.0, 0.0, 200.0]]))
    value.sum().backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    bounds = {0.0: 400.0, 1.0: 400.0}
    entropy = -(beta * math.log(beta) + (1 - beta) * math.log(1 - beta)) if beta not in bounds else 0
    assert value.item() == pytest.approx(bounds.get(beta, entropy), rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(BETAS), st.integers(1, 20), st.sampled_from(TEMPERATURES))
def test_fewer_outcomes_are_never_further_apart(seed: int, beta: float, count: int, temperature: float) -> None:
    student, teacher = (torch.from_numpy(x) / temperature for x in logits(seed))
    log_s, log_t = student.log_softmax(-1), teacher.log_softmax(-1)
    ids, coarse_t = likeliest(log_t, count)
    torch.testing.assert_close(coarse_t.exp().sum(-1), torch.ones(7, dtype=torch.float64))
    coarse = jensen_shannon(coarsen(log_s, ids), coarse_t, beta=beta)
    whole = jensen_shannon(log_s, log_t, beta=beta)
    assert (coarse <= whole + 1e-12).all()
    assert (coarse >= -1e-12).all()


def test_all_tokens_but_one_lose_nothing() -> None:
    student, teacher = (torch.from_numpy(x).log_softmax(-1) for x in logits(3))
    ids, coarse_t = likeliest(teacher, 1000)
    coarse = jensen_shannon(coarsen(student, ids), coarse_t, beta=0.3)
    torch.testing.assert_close(coarse, jensen_shannon(student, teacher, beta=0.3))


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("beta", BETAS)
def test_the_closed_form_is_the_value_and_its_gradient(beta: float, temperature: float) -> None:
    student, teacher = map(torch.from_numpy, logits(3))
    jsd = JensenShannon(beta=beta, temperature=temperature)
    wanted = jsd.of_logits(student.requires_grad_(), teacher)
    wanted.sum().backward()
    value, gradient = jsd.with_gradient(student.detach(), teacher)
    torch.testing.assert_close(value, wanted.detach(), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(gradient, student.grad, atol=1e-12, rtol=1e-10)
    value, gradient = jsd.with_gradient(teacher, teacher.clone())
    assert not value.any()
    assert not gradient.any()
