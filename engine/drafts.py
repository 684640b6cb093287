"""Draft tokens for vLLM (speculative decoding): tokens are proposed ahead, and the model verifies them in one step.

The proposals come from a table (``engine.draft_table``) that learns from the answers themselves. A wrong draft costs a
position in a step and never gets into an answer; an answer may differ by rounding only, as it does with other
neighbours in a batch. Only for greedy answers: with drafts, a sampled answer would no longer be determined by its seed.

vLLM loads both classes by name in its own process; ``engine.profile`` sets the flags.
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
    """The proposer: vLLM calls ``propose`` after each step."""

    def __init__(self, vllm_config: VllmConfig) -> None:
        speculative = vllm_config.speculative_config
        tokenizer = cached_tokenizer_from_config(vllm_config.model_config)  # vLLM has it in its cache
        assert speculative is not None
        assert tokenizer is not None
        self._longest: int = speculative.num_speculative_tokens
        self._most_tokens: int = vllm_config.model_config.max_model_len
        self._table = DraftTable(kinds_of(tokenizer.get_vocab()))
        self.propose([[]], np.ones(1, np.int32), np.zeros((1, 1), np.int32))  # numba compiles now, not in a request

    def propose(
        self,
        sampled_token_ids: list[list[int]],
        num_tokens_no_spec: NDArray[np.int32],
        token_ids_cpu: NDArray[np.int32],
        slot_mappings: object = None,
    ) -> list[list[int]]:
        """Drafts for each request: ``[]`` for one that produced no token in this step.

        Args:
            sampled_token_ids: the tokens that each request produced in this step; B lists.
            num_tokens_no_spec: (at least B,) number of tokens of each request, prompt and answer.
            token_ids_cpu: (at least B, max_model_len) these tokens.
            slot_mappings: not used.
        """
        produced = np.fromiter(map(len, sampled_token_ids), np.int32, len(sampled_token_ids))
        ends = num_tokens_no_spec[: len(produced)]
        self._table.learn(token_ids_cpu, ends, produced)
        limits = np.where(produced > 0, np.minimum(self._longest, self._most_tokens - ends - 1), 0)
        return self._table.drafts(token_ids_cpu, ends, limits)

    def load_model(self, *_: object) -> None:
        """Does nothing: the table has no weights."""


class GreedyDrafts(Scheduler):
    """vLLM's scheduler, with drafts for greedy requests only."""

    def update_draft_token_ids(self, draft_token_ids: DraftTokenIds) -> None:
        """Passes on the drafts of greedy requests."""
        pairs = zip(draft_token_ids.req_ids, draft_token_ids.draft_token_ids, strict=True)
        greedy_only = [drafts if self._is_greedy(request_id) else [] for request_id, drafts in pairs]
        super().update_draft_token_ids(replace(draft_token_ids, draft_token_ids=greedy_only))

    def _is_greedy(self, request_id: str) -> bool:
        request = self.requests.get(request_id)
        sampling = request.sampling_params if request else None
        return sampling is not None and sampling.sampling_type is SamplingType.GREEDY
