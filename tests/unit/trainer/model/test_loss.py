import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from trainer.model import direct_loss
from trainer.model.loss import TEACHER_SHARE, answer_places, at, next_token_loss
from trainer.model.targets import HiddenTargets
from trainer.objectives.coarse import coarsen, likeliest
from trainer.objectives.divergence import JensenShannon, jensen_shannon


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("at_once", [1, 40, 10**9])
def test_chunks_change_neither_value_nor_gradient(at_once, frozen):
    torch.manual_seed(0)
    head = nn.Linear(8, 11, bias=False).requires_grad_(not frozen)
    hidden = torch.randn(2, 9, 8, requires_grad=True)
    labels = torch.randint(0, 11, (2, 9))
    labels[0, :4] = labels[1, 5:] = -100
    wanted = cross_entropy(head(hidden[:, :-1]).flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
    wanted.backward()
    gradients = hidden.grad, head.weight.grad
    hidden.grad = head.weight.grad = None
    found = next_token_loss(hidden, labels, head, at_once=at_once)
    found.total.backward()
    assert found.total.item() == pytest.approx(wanted.item(), rel=1e-6)
    assert found.tokens == (labels[:, 1:] != -100).sum()
    assert_same((hidden.grad, head.weight.grad), gradients)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("top_k", [None, 4])
@pytest.mark.parametrize("at_once", [1, 40 * TEACHER_SHARE, 10**9])
def test_chunks_change_nothing_of_a_teachers_word_either(at_once, top_k, frozen):
    torch.manual_seed(0)
    head, other = nn.Linear(8, 11, bias=False).requires_grad_(not frozen), nn.Linear(8, 11, bias=False)
    hidden = torch.randn(2, 9, 8, requires_grad=True)
    labels = torch.randint(0, 11, (2, 9))
    labels[0, :4] = labels[1, 5:] = -100
    teacher_SD = at(answer_places(labels), torch.randn(2, 9, 8))
    jsd = JensenShannon(beta=0.2, temperature=2.0)
    log_s, log_t = (jsd.log_probs(logits) for logits in (head(at(answer_places(labels), hidden)), other(teacher_SD)))
    if top_k is not None:
        ids, log_t = likeliest(log_t, top_k)
        log_s = coarsen(log_s, ids)
    wanted = jensen_shannon(log_s, log_t.detach(), beta=0.2).sum()
    wanted.backward()
    gradients = hidden.grad, head.weight.grad
    hidden.grad = head.weight.grad = None
    said = HiddenTargets(hidden_SD=teacher_SD, head=other, jsd=jsd)
    said = said.likeliest(top_k, rows=2) if top_k is not None else said
    found = next_token_loss(hidden, labels, head, teacher=said, at_once=at_once)
    assert found.divergence is not None
    found.divergence.backward()
    assert found.divergence.item() == pytest.approx(wanted.item(), rel=1e-6, abs=1e-6)
    assert_same((hidden.grad, head.weight.grad), gradients)
    assert other.weight.grad is None


@pytest.mark.parametrize("taught", [False, True])
def test_compiled_it_is_the_same_with_one_graph_for_all_lengths(monkeypatch, taught):
    graphs: list[int] = []

    def counting(graph, inputs):
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    compiled = torch.compile(direct_loss._logit_terms, fullgraph=True, backend=counting)
    monkeypatch.setattr(direct_loss, "_compiled_logit_terms", lambda: compiled)
    torch.manual_seed(0)
    head, other = (nn.Linear(8, 11, bias=False).requires_grad_(False) for _ in range(2))
    jsd = JensenShannon(beta=0.2, temperature=2.0)
    for length in (10, 24, 18):
        hidden, labels = torch.randn(1, length, 8, requires_grad=True), torch.randint(0, 11, (1, length))
        said = HiddenTargets(hidden_SD=torch.randn(length - 1, 8), head=other, jsd=jsd) if taught else None
        found = [
            next_token_loss(hidden, labels, head, teacher=said, at_once=5 * 11 * TEACHER_SHARE, compiled=way)
            for way in (False, True)
        ]
        for ours, wanted in zip(found[1], found[0], strict=True):
            assert (ours is None and wanted is None) or torch.allclose(ours, wanted, rtol=1e-6)
        gradients = [torch.autograd.grad(each.total + (each.divergence if taught else 0), hidden) for each in found]
        assert_same(*gradients)
    assert len(graphs) == 1


@pytest.mark.parametrize(("frozen", "times"), [(False, 2), (True, 1)])
def test_no_more_logits_are_made_at_a_time_and_no_more_often_than_needed(frozen, times):
    rows: list[int] = []
    head, other = nn.Linear(8, 11, bias=False), nn.Linear(8, 11, bias=False)
    head.requires_grad_(not frozen)
    for each in (head, other):
        each.register_forward_hook(lambda _, given, __: rows.append(len(given[0])))
    hidden, labels = torch.randn(1, 101, 8, requires_grad=True), torch.ones(1, 101, dtype=torch.long)
    said = HiddenTargets(hidden_SD=torch.randn(100, 8), head=other, jsd=JensenShannon(beta=0.5))
    next_token_loss(hidden, labels, head, teacher=said, at_once=11 * TEACHER_SHARE * 7).total.backward()
    assert max(rows) == 7
    assert sum(rows) == 200 * times  # student and teacher


@pytest.mark.parametrize("top_k", [None, 4])
@pytest.mark.parametrize("trained", [0, 3])
def test_a_head_that_is_gathered_is_called_as_often_as_the_rank_with_most_calls_it(monkeypatch, trained, top_k):
    torch.manual_seed(0)
    head = nn.Linear(8, 11, bias=False).requires_grad_(False)
    hidden, labels = torch.randn(1, trained + 1, 8, requires_grad=True), torch.ones(1, trained + 1, dtype=torch.long)
    jsd = JensenShannon(beta=0.5)
    said = HiddenTargets(hidden_SD=torch.randn(trained, 8), head=nn.Linear(8, 11), jsd=jsd)
    said = said.likeliest(top_k, rows=2) if top_k is not None else said
    wanted = next_token_loss(hidden, labels, head, teacher=said)
    setattr(head.weight, "ds_id", 1)  # noqa: B010 - as ZeRO-3 marks what it shards
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda most, _: most.fill_(5))
    calls: list[int] = []
    head.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    found = next_token_loss(hidden, labels, head, teacher=said, at_once=11 * TEACHER_SHARE * 2)
    assert found.divergence is not None
    assert wanted.divergence is not None
    (found.total + found.divergence).backward()
    assert calls[:5] == ([2, 1, 0, 0, 0] if trained else [0] * 5)
    assert len(calls) == 10, "once forward, once again backward"
    assert found.total.item() == pytest.approx(wanted.total.item())
    assert found.divergence.item() == pytest.approx(wanted.divergence.item(), abs=1e-6)
    assert hidden.grad is not None
    assert hidden.grad.isfinite().all()


def assert_same(found, wanted):
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


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
