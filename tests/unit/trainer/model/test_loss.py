import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from trainer.model.loss import next_token_loss


@pytest.mark.parametrize("at_once", [1, 40, 10**9])
def test_chunks_change_neither_value_nor_gradient(at_once):
    torch.manual_seed(0)
    head = nn.Linear(8, 11, bias=False)
    hidden = torch.randn(2, 9, 8, requires_grad=True)
    labels = torch.randint(0, 11, (2, 9))
    labels[0, :4] = labels[1, 5:] = -100
    wanted = cross_entropy(head(hidden[:, :-1]).flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
    wanted.backward()
    gradients = hidden.grad.clone(), head.weight.grad.clone()
    hidden.grad = head.weight.grad = None
    found = next_token_loss(hidden, labels, head, at_once=at_once)
    found.total.backward()
    assert found.total.item() == pytest.approx(wanted.item(), rel=1e-6)
    assert found.tokens == (labels[:, 1:] != -100).sum()
    torch.testing.assert_close((hidden.grad, head.weight.grad), gradients)


def test_a_frozen_head_gets_no_gradient():
    head = nn.Linear(8, 11, bias=False).requires_grad_(False)
    hidden = torch.randn(1, 5, 8, requires_grad=True)
    next_token_loss(hidden, torch.ones(1, 5, dtype=torch.long), head).total.backward()
    assert head.weight.grad is None
    assert hidden.grad is not None


def test_half_precision_is_summed_in_float32():
    head = nn.Linear(8, 11, bias=False).bfloat16()
    found = next_token_loss(torch.randn(1, 5, 8).bfloat16(), torch.ones(1, 5, dtype=torch.long), head)
    assert found.total.dtype is torch.float32


def test_nothing_to_learn_costs_nothing():
    found = next_token_loss(torch.randn(1, 5, 8), torch.full((1, 5), -100), nn.Linear(8, 11))
    assert found.total.item() == 0
    assert found.tokens == 0
