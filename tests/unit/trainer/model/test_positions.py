from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Qwen3VLForConditionalGeneration

from tests.support import tiny
from trainer.model.encode import Encoder, TooLong
from trainer.model.positions import rope_positions
from vqc.missions import missions
from vqc.prompts import dense_prompt, stage_b_prompt


def test_positions_equal_transformers_own(checkpoint: Path):
    encoder = Encoder.load(checkpoint)
    model = Qwen3VLForConditionalGeneration.from_pretrained(checkpoint).model
    photos = [tiny.photo(96, 64), tiny.photo(64, 160)]
    mission = next(iter(missions().values()))
    for sample in (
        tiny.Sample(dense_prompt(), photos[:1], "{}"),
        tiny.Sample(stage_b_prompt(mission), photos, "通过"),
        tiny.Sample(stage_b_prompt(mission, ["x×1"]), (), "通过"),
    ):
        encoded = encoder.encode(sample)
        ids = torch.from_numpy(encoded.input_ids_T)[None].long()
        grids = torch.tensor(encoded.grids) if encoded.grids else None
        kinds = (ids == encoder.image_token).int()
        wanted, _ = model.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=grids)
        found = rope_positions(encoded.input_ids_T, encoded.grids, encoder.image_token, 2)
        assert np.array_equal(found[1:], wanted[:, 0].numpy())
        assert np.array_equal(found[0], np.arange(len(encoded)))


def test_placeholders_and_photos_must_agree():
    with pytest.raises(ValueError, match="3 image placeholders in the text, but the photos make 4"):
        rope_positions(np.array([1, 9, 9, 9]), [(1, 4, 4)], 9, 2)


def test_long_samples_raise_or_lose_their_end(checkpoint: Path):
    sample = tiny.Sample(dense_prompt(), [tiny.photo(96, 64)], '{"object_1": {"bbox_2d": [1, 2, 3, 4]}}')
    whole = Encoder.load(checkpoint).encode(sample)
    with pytest.raises(TooLong, match=f"{len(whole)} tokens, but global_max_length is {len(whole) - 2}"):
        Encoder.load(checkpoint, max_length=len(whole) - 2).encode(sample)
    cut = Encoder.load(checkpoint, max_length=len(whole) - 2, truncate=True).encode(sample)
    assert np.array_equal(cut.input_ids_T, whole.input_ids_T[:-2])
    with pytest.raises(TooLong):
        Encoder.load(checkpoint, max_length=20, truncate=True).encode(sample)
