"""Keeps an engine with random weights writing: an answer ends only where the grammar allows nothing else.

Left to chance, random weights end some captions after ``{}`` and some never, and tokens a second say little. For vLLM's
``--logits-processors``, on every engine of a comparison alike.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoTokenizer
from vllm.v1.sample.logits_processor import LogitsProcessor

_ENDS = ("<|im_end|>", "<|endoftext|>")
_IRRELEVANT = "æĹł"  # how a byte-level vocabulary spells 无, with which the line of an irrelevant photo begins
_PENALTY = 10_000.0


def ends_an_answer(token: str) -> bool:
    """Whether this entry of the vocabulary may end an answer; a brace that only ends an object does not.

    >>> [token for token in ('}', '"}', '"}}', '"},Ġ"', '{}', 'æĹłåħ³', '<|im_end|>', '{"') if ends_an_answer(token)]
    ['}', '"}}', '{}', 'æĹłåħ³', '<|im_end|>']
    """
    return token in _ENDS or token.startswith(_IRRELEVANT) or (token.endswith("}") and token != '"}')


class LongAnswers(LogitsProcessor):
    """Answers go on to their limit of tokens, or to the end of what the grammar allows."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        vocabulary = AutoTokenizer.from_pretrained(vllm_config.model_config.tokenizer).get_vocab()
        ends = sorted(number for token, number in vocabulary.items() if ends_an_answer(token))
        self._ends = torch.tensor(ends, device=device)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """See vLLM, as for the others."""
        logits[:, self._ends] -= _PENALTY
        return logits

    def is_argmax_invariant(self) -> bool:
        """It changes what is likeliest."""
        return False

    def update_state(self, batch_update: object) -> None:
        """Nothing depends on the request."""
