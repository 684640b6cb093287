"""Drafts for vLLM, which checks several tokens in one step instead of making one: what an answer will say is guessed first.

The guesses come from a table (``engine.draft_table``) that learns from the answers themselves. The model verifies them: a wrong
one costs a place in a step and does not get into an answer, which may differ by rounding alone, as answers do among other
neighbours in a batch. Greedy answers only: a sampled one would no longer follow from its seed.

vLLM loads both classes by name, in its own process; ``engine.profile`` has the flags.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from vllm.sampling_params import SamplingType
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.v1.core.sched.scheduler import Scheduler

from engine.draft_table import DraftTable, kinds_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from vllm.config import VllmConfig
    from vllm.v1.outputs import DraftTokenIds


class AnswerDrafts:
    """The proposer: ``propose`` is called by vLLM after each step."""

    def __init__(self, vllm_config: VllmConfig) -> None:
        speculative = vllm_config.speculative_config
        tokenizer = cached_tokenizer_from_config(vllm_config.model_config)  # vLLM has loaded it
        assert speculative is not None
        assert tokenizer is not None
        self._longest: int = speculative.num_speculative_tokens
        self._most_tokens: int = vllm_config.model_config.max_model_len
        self._table = DraftTable(kinds_of(tokenizer.get_vocab()))
        self.propose([[]], np.ones(1, np.int32), np.zeros((1, 1), np.int32))  # compiles

    def propose(
        self,
        sampled_token_ids: list[list[int]],
        num_tokens_no_spec: NDArray[np.int32],
        token_ids_cpu: NDArray[np.int32],
        slot_mappings: object = None,
    ) -> list[list[int]]:
        """Drafts for each request: ``[]`` for one that has said nothing in this step.

        Args:
            sampled_token_ids: what each request has said in this step; B lists.
            num_tokens_no_spec: (at least B,) tokens of each request, prompt and answer.
            token_ids_cpu: (at least B, max_model_len) these tokens.
            slot_mappings: not used.
        """
        said = np.fromiter(map(len, sampled_token_ids), np.int32, len(sampled_token_ids))
        ends = num_tokens_no_spec[: len(said)]
        self._table.learn(token_ids_cpu, ends, said)
        room = np.where(said > 0, np.minimum(self._longest, self._most_tokens - ends - 1), 0)
        return self._table.drafts(token_ids_cpu, ends, room)

    def load_model(self, *_: object) -> None:
        """Nothing to load."""


class GreedyDrafts(Scheduler):
    """vLLM's scheduler, which keeps drafts to answers that are not sampled."""

    def update_draft_token_ids(self, draft_token_ids: DraftTokenIds) -> None:
        """Hands on the drafts of greedy requests."""
        pairs = zip(draft_token_ids.req_ids, draft_token_ids.draft_token_ids, strict=True)
        kept = [drafts if self._greedy(request_id) else [] for request_id, drafts in pairs]
        super().update_draft_token_ids(replace(draft_token_ids, draft_token_ids=kept))

    def _greedy(self, request_id: str) -> bool:
        request = self.requests.get(request_id)
        sampling = request.sampling_params if request else None
        return sampling is not None and sampling.sampling_type is SamplingType.GREEDY
