"""Answers written while training: by whom, and that they are what the model would say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import tiny
from tests.support.networks import load
from trainer.config.distillation import RlhfSection
from trainer.model.collate import pad_samples
from trainer.model.encode import IGNORED, Encoded, Encoder
from trainer.training.answers import AnswerSource, answer_source
from trainer.training.generation import ModelGenerator
from vqc.missions import missions
from vqc.prompts import dense_prompt, stage_b_prompt

MOST = 7
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


@pytest.fixture(scope="module")
def encoder(checkpoint: Path) -> Encoder:
    return Encoder.load(checkpoint)


@pytest.fixture(scope="module")
def samples(encoder: Encoder) -> list[Encoded]:
    mission = next(iter(missions().values()))
    made = [
        tiny.Sample(dense_prompt(), [tiny.photo(96, 64)], '{"object_1": {}}'),
        tiny.Sample(stage_b_prompt(mission, ["标签×1"]), (), "通过\n理由: 齐全"),
        tiny.Sample(stage_b_prompt(mission), [tiny.photo(64, 64, 1), tiny.photo(128, 96, 2)], "不通过"),
    ]
    return [encoder.encode(sample) for sample in made]


def generation(encoder: Encoder, *, longest: int = 4096, temperature: float = 1.0) -> ModelGenerator:
    return ModelGenerator(
        image_token=encoder.image_token, end_token=encoder.end_token, pad_token=encoder.pad_token,
        max_tokens=MOST, max_length=longest, temperature=temperature,
    )  # fmt: skip


@pytest.mark.parametrize("attn_impl", ["sdpa", "varlen"])
def test_a_greedy_answer_is_the_likeliest_next_token_again_and_again(
    checkpoint: Path, encoder: Encoder, samples: list[Encoded], attn_impl: str
):
    model: Any = load(checkpoint, encoder, attn_impl=attn_impl).train()
    before = model.config._attn_implementation
    answered = generation(encoder).greedy_answers(model, samples)
    assert model.training
    assert model.config._attn_implementation == before
    reader: Any = load(checkpoint, encoder)
    for old, new in zip(samples, answered, strict=True):
        prompt = int((old.labels_T != IGNORED).argmax())
        assert np.array_equal(new.input_ids_T[:prompt], old.input_ids_T[:prompt])
        assert (new.labels_T[:prompt] == IGNORED).all()
        assert np.array_equal(new.labels_T[prompt:], new.input_ids_T[prompt:])
        assert 1 <= len(new) - prompt <= MOST
        batch = pad_samples([new], reader.facts(encoder.pad_token))
        with torch.no_grad():
            logits = reader.lm_head(reader._hidden_states(batch["input_ids"], reader._features(batch, None), batch))
        assert logits[0, prompt - 1 : -1].argmax(-1).tolist() == new.input_ids_T[prompt:].tolist()


def test_the_same_seed_draws_the_same_and_leaves_other_chance_alone(
    checkpoint: Path, encoder: Encoder, samples: list[Encoded]
):
    model: Any = load(checkpoint, encoder)
    writer = generation(encoder)
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (writer.sample_answers(model, samples, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), wanted)
    assert [s.input_ids_T.tolist() for s in first] == [s.input_ids_T.tolist() for s in again]
    assert [s.input_ids_T.tolist() for s in first] != [s.input_ids_T.tolist() for s in other]


def test_an_answer_ends_where_the_model_ends_it_or_the_limit_does(
    checkpoint: Path, encoder: Encoder, samples: list[Encoded], monkeypatch: pytest.MonkeyPatch
):
    model: Any = load(checkpoint, encoder)
    said = torch.tensor([[9, encoder.end_token, encoder.pad_token], [9, 9, 9], [encoder.end_token, 9, 9]])
    asked: dict[str, Any] = {}

    def generate(**inputs: Any) -> torch.Tensor:
        asked.update(inputs)
        return torch.cat([inputs["input_ids"], said], 1)

    monkeypatch.setattr(model, "generate", generate)
    prompts = [len(sample) - sample.positions for sample in samples]
    answered = generation(encoder, longest=max(prompts) + 2).greedy_answers(model, samples)
    assert asked["max_new_tokens"] == 2
    answers = [s.input_ids_T[p:].tolist() for s, p in zip(answered, prompts, strict=True)]
    assert answers == [[9, encoder.end_token], [9, 9, 9], [encoder.end_token]]


def test_who_answers_depends_on_seed_and_step_alone_and_in_the_share_asked_for():
    rlhf = RlhfSection(rlhf_type="gkd", lmbda=0.3, seq_kd=True)
    drawn = [answer_source(rlhf, 17, step) for step in range(2000)]
    assert drawn == [answer_source(rlhf, 17, step) for step in range(2000)]
    assert drawn.count(AnswerSource.STUDENT) / 2000 == pytest.approx(0.3, abs=0.04)
    assert AnswerSource.DATA not in drawn
    forward = RlhfSection(rlhf_type="gkd")
    assert {answer_source(forward, 17, step) for step in range(50)} == {AnswerSource.DATA}
    assert {answer_source(RlhfSection(rlhf_type="gkd", lmbda=1.0), 17, step) for step in range(50)} == {
        AnswerSource.STUDENT
    }
