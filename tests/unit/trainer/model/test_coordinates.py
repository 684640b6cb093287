import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer

from trainer.model.coordinates import CoordinateTargets
from trainer.model.loss import next_token_loss
from vqc.errors import InvalidValue

ANSWER = '{"object_1": {"line_points": 2, "line": [500, 0, 1000, 7], "desc": "标签/4G×3"}}'


@pytest.fixture(scope="module")
def tokenizer(checkpoint):
    return AutoTokenizer.from_pretrained(checkpoint)


class Given(nn.Identity):
    """A head for hidden states that are the logits."""

    out_features = 1


def rows(tokenizer, sigma=2.0):
    ids = torch.tensor(tokenizer.backend_tokenizer.encode(ANSWER, add_special_tokens=False).ids)
    spread, weights = CoordinateTargets.of(tokenizer, sigma).spread(ids[1:], ids[:-1])
    return ids, spread, weights


def test_coordinates_spread_and_every_other_number_stays_exact(tokenizer):
    ids, _, weights = rows(tokenizer)
    soft = [
        tokenizer.decode([token]) for token, row in zip(ids[1:].tolist(), weights, strict=True) if (row > 0).sum() > 1
    ]
    assert soft == ["500", "0", "1000", "7"]


def test_targets_add_up_to_one_and_lie_around_the_right_number(tokenizer):
    ids, spread, weights = rows(tokenizer)
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)))
    place = ids[1:].tolist().index(500)
    target = {
        int(tokenizer.decode([token])): weight for token, weight in zip(spread[place], weights[place], strict=True)
    }
    assert max(target, key=target.get) == 500
    assert target[498] / target[500] == pytest.approx(math.exp(-0.5))
    assert min(target) == 494
    assert max(target) == 506


def test_no_weight_falls_outside_the_photo(tokenizer):
    ids, spread, weights = rows(tokenizer)
    for value in (0, 1000):
        place = ids[1:].tolist().index(value)
        held = spread[place][weights[place] > 0].tolist()
        assert len(set(held)) == len(held) == 7


def test_a_vocabulary_without_numbers_is_refused(tokenizer):
    class Digits:
        backend_tokenizer = type(
            "Backend", (), {"token_to_id": staticmethod(lambda text: 1 if len(text) == 1 else None)}
        )

    with pytest.raises(InvalidValue, match="no token for the number 10"):
        CoordinateTargets.of(Digits(), 2.0)


def test_the_loss_is_zero_when_the_target_is_met_and_cross_entropy_elsewhere(tokenizer):
    ids, spread, weights = rows(tokenizer)
    logits = torch.full((len(ids), len(tokenizer)), -1e4)
    for position, (tokens, row) in enumerate(zip(spread, weights, strict=True)):
        logits[position, tokens[row > 0]] = row[row > 0].log()
    targets = CoordinateTargets.of(tokenizer, 2.0)
    met = next_token_loss(logits[None], ids[None], Given(), before_BT=ids[None], coordinates=targets, at_once=10**6)
    assert met.total.item() == pytest.approx(0, abs=1e-3)
    text = torch.tensor(tokenizer.backend_tokenizer.encode("标签/4G×3, 光纤", add_special_tokens=False).ids)
    logits = torch.randn(1, len(text), len(tokenizer))
    found = next_token_loss(logits, text[None], Given(), before_BT=text[None], coordinates=targets, at_once=10**6)
    assert found.total.item() == pytest.approx(
        cross_entropy(logits[0, :-1], text[1:], reduction="sum").item(), rel=1e-5
    )
