"""vLLM's API server on a CPU, with two corrections: ``python -m engine.cpu_server`` takes vLLM's own flags.

vLLM 0.32 undoes the random number that a seeded request drew on an unfinished prompt chunk by moving the generator's
offset. PyTorch's CPU generator has no offset, so one such request would crash the engine. Restarting it from its seed
is equivalent, because nothing was drawn before the prompt was complete.

While it verifies drafts beside a sampled request, vLLM divides by a temperature per token. Its CPU kernel expands the
requests' temperatures into a copy instead of the output, so the output is uninitialised memory, and tokens that the
grammar forbids get through.
"""

from __future__ import annotations

import torch


class RewindableGenerator(torch.Generator):
    """A CPU generator whose only offset is the beginning."""

    def get_offset(self) -> int:
        """Always 0: the beginning."""
        return 0

    def set_offset(self, offset: int) -> torch.Generator:
        """Restarts from the seed, whatever the offset."""
        return self.manual_seed(self.initial_seed())


def expand_to_tokens(
    output: torch.Tensor,
    values: torch.Tensor,
    ends: torch.Tensor,
    replace_from: float,
    replace_to: float,
    *_: object,
) -> None:
    """Fills ``output`` (tokens,) with the value of each token's request; ``ends`` (requests,) are the requests' token ends.

    >>> expand_to_tokens(filled := torch.empty(3), torch.tensor([0.0, 0.7, 0.5]), torch.tensor([2, 2, 3]), 0, 1)
    >>> filled
    tensor([1.0000, 1.0000, 0.5000])
    """
    counts = ends.diff(prepend=ends.new_zeros(1))
    output.copy_(torch.where(values == replace_from, replace_to, values).repeat_interleave(counts))


if __name__ in (
    "__main__",
    "__mp_main__",
):  # the engine core, a spawned process, imports this module under the second name and needs the patches too
    torch.Generator = RewindableGenerator

    from vllm.utils import cpu_triton_utils

    cpu_triton_utils._expand_kernel_impl = expand_to_tokens

if __name__ == "__main__":
    from vllm.entrypoints.launchers.api_server.entry import main

    main()
