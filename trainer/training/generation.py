"""Generates answers to the prompts of a batch, with the model in training or with its teacher.

On-policy distillation (Agarwal et al. 2024, arXiv:2306.13649) compares the two models on the student's own answers;
sequence-level distillation (Kim and Rush 2016, arXiv:1606.07947) trains on the teacher's answers.

Axes: B samples, T tokens.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from trainer.model import attention
from trainer.model.encode import IGNORED, Encoded


class ModelGenerator:
    """Generates from the prompts of encoded samples.

    ``image_token``, ``end_token`` and ``pad_token`` are the tokenizer's ids. Answers have at most ``max_tokens`` tokens,
    and no sample gets longer than ``max_length``.
    """

    def __init__(
        self, *, image_token: int, end_token: int, pad_token: int, max_tokens: int, max_length: int, temperature: float
    ) -> None:
        self._image_token = image_token
        self._end_token = end_token
        self._pad_token = pad_token
        self._max_tokens = max_tokens
        self._max_length = max_length
        self._temperature = temperature

    def sample_answers(self, model: Any, samples: Sequence[Encoded], seed: int) -> list[Encoded]:
        """The samples with answers sampled from the model at the temperature; the same seed gives the same answers."""
        devices = [model.device] if model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            chance = {"do_sample": True, "temperature": self._temperature, "top_k": 0, "top_p": 1.0}
            return self._generate(model, samples, chance)

    def greedy_answers(self, model: Any, samples: Sequence[Encoded]) -> list[Encoded]:
        """The samples with the model's greedy answers."""
        return self._generate(model, samples, {"do_sample": False})

    def _generate(self, model: Any, samples: Sequence[Encoded], chance: dict[str, Any]) -> list[Encoded]:
        prompts = [prompt_of(sample) for sample in samples]
        longest = max(map(len, prompts))
        ids_BT = torch.full((len(prompts), longest), self._pad_token)
        mask_BT = torch.zeros_like(ids_BT)
        for row, prompt in enumerate(prompts):
            ids_BT[row, longest - len(prompt) :] = torch.from_numpy(prompt)
            mask_BT[row, longest - len(prompt) :] = 1
        inputs: dict[str, torch.Tensor] = {"input_ids": ids_BT, "attention_mask": mask_BT}
        grids = [grid for sample in samples for grid in sample.grids]
        if grids:
            levels = torch.from_numpy(np.concatenate([sample.levels for sample in samples])).to(model.device)
            inputs["pixel_values"] = _base_network(model).pixel_values(levels)
            inputs["image_grid_thw"] = torch.tensor(grids)
            inputs["mm_token_type_ids"] = ((ids_BT == self._image_token) & (mask_BT == 1)).int()
        with _generation_mode(model):
            output_BT = model.generate(
                **{key: value.to(model.device) for key, value in inputs.items()}, **chance,
                max_new_tokens=max(1, min(self._max_tokens, self._max_length - longest)), repetition_penalty=1.0,
                eos_token_id=self._end_token, use_cache=True, pad_token_id=self._pad_token,
            )  # fmt: skip
        answers = output_BT[:, longest:].cpu().numpy().astype(np.int32)
        return [with_answer(sample, self._until_end(answer)) for sample, answer in zip(samples, answers, strict=True)]

    def _until_end(self, answer_T: np.ndarray) -> np.ndarray:
        """The answer up to and including ``<|im_end|>``; the whole answer if it reached the length limit."""
        ends = np.flatnonzero(answer_T == self._end_token)
        return answer_T[: ends[0] + 1] if len(ends) else answer_T


def prompt_of(sample: Encoded) -> np.ndarray:
    """int32 prompt_T: all tokens before the answer."""
    return sample.input_ids_T[: int((sample.labels_T != IGNORED).argmax())]


def with_answer(sample: Encoded, answer_T: np.ndarray) -> Encoded:
    """The sample with another answer, int32."""
    prompt_T = prompt_of(sample)
    return replace(
        sample,
        input_ids_T=np.concatenate([prompt_T, answer_T]),
        labels_T=np.concatenate([np.full(len(prompt_T), IGNORED, np.int32), answer_T]),
    )


def sampling_seed(*place: int) -> int:
    """A 32-bit seed for one place of a run, such as (seed, step, batch, rank)."""
    return random.Random("/".join(map(str, place)) + "/student").getrandbits(32)


def _base_network(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def _generation_mode(model: Any) -> Iterator[None]:
    """Evaluation mode without gradients, with an attention that supports padding and a cache.

    Compiled blocks run eagerly: with a growing cache each of them would be compiled for every layer.
    """
    training, config = model.training, _base_network(model).config
    implementation = config._attn_implementation
    model.eval()
    if implementation == attention.NAME:
        config._attn_implementation = "sdpa"
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        config._attn_implementation = implementation
        model.train(training)
