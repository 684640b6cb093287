"""Makes an engine with random weights write long answers: an answer ends only where the grammar allows nothing else.

By chance, random weights end some captions after ``{}`` and others never, which makes tokens a second meaningless. For vLLM's
``--logits-processors``; every engine of a comparison must use it.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoTokenizer
from typing_extensions import override
from vllm.v1.sample.logits_processor import LogitsProcessor

_ENDS = ("<|im_end|>", "<|endoftext|>")
_IRRELEVANT = "æĹł"  # 无 in a byte-level vocabulary: the start of the line of an irrelevant photo
_PENALTY = 10_000.0


def ends_an_answer(token: str) -> bool:
    """Whether this token may end an answer; a brace that ends only an object does not.

    >>> [token for token in ('}', '"}', '"}}', '"},Ġ"', '{}', 'æĹłåħ³', '<|im_end|>', '{"') if ends_an_answer(token)]
    ['}', '"}}', '{}', 'æĹłåħ³', '<|im_end|>']
    """
    return token in _ENDS or token.startswith(_IRRELEVANT) or (token.endswith("}") and token != '"}')


class LongAnswers(LogitsProcessor):
    """Answers go on to their token limit, or to the end that the grammar requires."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        vocabulary = AutoTokenizer.from_pretrained(vllm_config.model_config.tokenizer).get_vocab()
        ends = sorted(number for token, number in vocabulary.items() if ends_an_answer(token))
        self._ends = torch.tensor(ends, device=device)

    @override
    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        logits[:, self._ends] -= _PENALTY
        return logits

    @override
    def is_argmax_invariant(self) -> bool:
        return False

    @override
    def update_state(self, batch_update: object) -> None:
        """Does nothing: no logit depends on the request."""
