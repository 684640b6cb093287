"""Engines with random weights that say what a trained model would: the labels of drawn scenes, token by token.

Random weights say nothing that could be guessed ahead. Here the mask of the grammar, computed as ever, leaves the one token
that comes next in a label, so that answers have the length, the words and the form of real ones, and the engine does all its
work. Labels are dealt so that any few requests in a row have about as much to say as any others. For vLLM's
``--scheduler-cls``, on every engine of a comparison alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.v1.core.sched.async_scheduler import AsyncScheduler

from engine.drafts import GreedyDrafts
from scenes.scene import plan_scene
from vqc.caption import DenseCaption
from vqc.codec import render as caption_text
from vqc.grammar import CAPTION_GRAMMAR, SUMMARY_GRAMMAR
from vqc.summary import render as summary_text

_SCENES = 400
_GOLDEN = (5**0.5 - 1) / 2


class _Reciting:
    """What the two schedulers below have in common."""

    requests: dict[str, Any]

    def __init__(self, vllm_config: Any, *arguments: Any, **more: Any) -> None:
        super().__init__(vllm_config, *arguments, **more)
        tokenizer = cached_tokenizer_from_config(vllm_config.model_config)
        self._end: int = tokenizer.eos_token_id
        scenes = [scene for seed in range(_SCENES) if (scene := plan_scene(seed)).objects]
        said = {
            CAPTION_GRAMMAR: [
                caption_text(DenseCaption.from_pixels(scene.objects, scene.stage.camera.size_wh)) for scene in scenes
            ],
            SUMMARY_GRAMMAR: [summary_text(scene.summary) for scene in scenes],
        }
        self._labels = {
            grammar: sorted((tokenizer(text, add_special_tokens=False).input_ids for text in texts), key=len)
            for grammar, texts in said.items()
        }
        self._dealt: dict[str, list[int]] = {}

    def get_grammar_bitmask(self, scheduler_output: Any) -> Any:
        """See vLLM: a row for each token that may come, drafts included."""
        output = super().get_grammar_bitmask(scheduler_output)  # type: ignore[misc]
        if output is None:
            return None
        masks, row = output.grammar_bitmask.view(np.uint32), 0
        for request_id in output.structured_output_request_ids:
            drafts = len(scheduler_output.scheduled_spec_decode_tokens.get(request_id, ()))
            request = self.requests[request_id]
            if labels := self._labels.get(request.sampling_params.structured_outputs.grammar):
                label = self._dealt.get(request_id) or self._deal(request_id, labels)
                said = request.structured_output_request.grammar.num_processed_tokens
                for place in range(drafts + 1):
                    token = label[said + place] if said + place < len(label) else self._end
                    masks[row + place] = 0
                    masks[row + place, token >> 5] = 1 << (token & 31)
            row += drafts + 1
        return output

    def _deal(self, request_id: str, labels: list[list[int]]) -> list[int]:
        """The next label: steps of the golden ratio through those sorted by length, short ones and long ones in turns."""
        label = labels[int(len(self._dealt) * _GOLDEN % 1 * len(labels))]
        self._dealt[request_id] = label
        return label


class Recited(_Reciting, AsyncScheduler):
    """vLLM's scheduler, reciting."""


class RecitedDrafts(_Reciting, GreedyDrafts):
    """The scheduler of an engine that drafts, reciting."""
