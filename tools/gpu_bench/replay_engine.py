"""Engines with random weights that replay the labels of drawn scenes, token by token, as a trained model would write them.

No draft can predict the text of random weights. Here the mask of the grammar is computed as usual and then reduced to the next
token of a label. So answers have the length, words and form of real ones, and the engine does all its work. Labels are dealt so
that every few consecutive requests have about the same amount of text. For vLLM's ``--scheduler-cls``; every engine of a
comparison must use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


_Scheduler = AsyncScheduler if TYPE_CHECKING else object


class _Replay(_Scheduler):
    """The common part of the two schedulers below."""

    def __init__(self, vllm_config: Any, *arguments: Any, **more: Any) -> None:
        super().__init__(vllm_config, *arguments, **more)
        tokenizer = cached_tokenizer_from_config(vllm_config.model_config)
        assert tokenizer is not None
        self._end: int = tokenizer.eos_token_id
        scenes = [scene for seed in range(_SCENES) if (scene := plan_scene(seed)).objects]
        texts = {
            CAPTION_GRAMMAR: [
                caption_text(DenseCaption.from_pixels(scene.objects, scene.stage.camera.size_wh)) for scene in scenes
            ],
            SUMMARY_GRAMMAR: [summary_text(scene.summary) for scene in scenes],
        }
        self._labels = {
            grammar: sorted((tokenizer(text, add_special_tokens=False).input_ids for text in labels), key=len)
            for grammar, labels in texts.items()
        }
        self._dealt: dict[str, list[int]] = {}

    def get_grammar_bitmask(self, scheduler_output: Any) -> Any:
        """The grammar's masks: a row for the next token of each request and one more for each of its drafts."""
        output = super().get_grammar_bitmask(scheduler_output)
        if output is None:
            return None
        masks, row = output.grammar_bitmask.view(np.uint32), 0
        for request_id in output.structured_output_request_ids:
            drafts = len(scheduler_output.scheduled_spec_decode_tokens.get(request_id, ()))
            request: Any = self.requests[request_id]
            if labels := self._labels.get(request.sampling_params.structured_outputs.grammar):
                label = self._dealt.get(request_id) or self._deal(request_id, labels)
                written = request.structured_output_request.grammar.num_processed_tokens
                for place in range(drafts + 1):
                    token = label[written + place] if written + place < len(label) else self._end
                    # A mask is one bit per token in words of 32: allow this token alone.
                    masks[row + place] = 0
                    masks[row + place, token >> 5] = 1 << (token & 31)
            row += drafts + 1
        return output

    def _deal(self, request_id: str, labels: list[list[int]]) -> list[int]:
        """The next label: golden-ratio steps through the labels sorted by length, so that short and long ones alternate."""
        label = labels[int(len(self._dealt) * _GOLDEN % 1 * len(labels))]
        self._dealt[request_id] = label
        return label


class ReplayScheduler(_Replay, AsyncScheduler):
    """vLLM's scheduler, replaying labels."""


class ReplayDraftScheduler(_Replay, GreedyDrafts):
    """The scheduler of an engine with drafts, replaying labels."""
