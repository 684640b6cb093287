import copy

import pytest
import torch
from torch import nn

from trainer.config import config_from
from trainer.training import optim
from trainer.training.muon import MuonWithAdamW


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(5, 6)
        self.up_proj = nn.Linear(6, 4)

    def forward(self, tokens):
        return self.up_proj(self.embed_tokens(tokens))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network()


def made(network):
    training = config_from(
        {
            "model": {"model": "tiny"},
            "training": {"output_dir": "out", "optimizer": "muon", "learning_rate": 0.01, "weight_decay": 0.0},
            "custom": {"train_jsonl": "train.jsonl"},
        }
    ).training
    return optim.optimizer(network.named_parameters(), training)


def step(network, optimizer):
    optimizer.zero_grad()
    network(torch.arange(5)).square().sum().backward()
    optimizer.step()


def test_muon_takes_the_hidden_matrices_and_adamw_the_rest(network):
    optimizer = made(network)
    assert isinstance(optimizer, MuonWithAdamW)
    muon, adamw = ([p for g in part.param_groups for p in g["params"]] for part in optimizer.parts)
    assert [id(p) for p in muon] == [id(network.up_proj.weight)]
    assert {id(p) for p in adamw} == {id(network.embed_tokens.weight), id(network.up_proj.bias)}


def test_a_matrix_moves_along_every_direction_alike(network):
    optimizer, before = made(network), network.up_proj.weight.detach().clone()
    step(network, optimizer)
    singular = torch.linalg.svdvals(network.up_proj.weight.detach() - before)
    assert singular.max() / singular.min() < 2  # AdamW's or SGD's first step would be far from that
    assert not torch.equal(network.embed_tokens.weight, Network().embed_tokens.weight)


def test_a_schedule_reaches_both(network):
    optimizer = made(network)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.0)
    before = copy.deepcopy(network.state_dict())
    step(network, optimizer)
    schedule.step()
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


def test_saved_and_loaded_it_goes_on_as_if_never_stopped(network):
    optimizer = made(network)
    step(network, optimizer)
    other = copy.deepcopy(network)
    resumed = made(other)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    step(network, optimizer)
    step(other, resumed)
    torch.testing.assert_close(other.state_dict(), network.state_dict(), rtol=0, atol=0)
    for group in resumed.param_groups:
        group["lr"] = 0.0
    before = copy.deepcopy(other.state_dict())
    step(other, resumed)
    torch.testing.assert_close(other.state_dict(), before, rtol=0, atol=0)
