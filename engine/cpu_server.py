"""vLLM's API server for a CPU: ``python -m engine.cpu_server`` takes vLLM's own flags.

vLLM 0.32 takes back the number that a sampled request with a seed drew on an unfinished prompt chunk by moving the random
generator's offset. A CPU generator of PyTorch has no offset, so one such request would end the engine. Here it starts
over from its seed, which is the same: nothing was drawn before the prompt was complete.

Where drafts are checked beside a sampled request, it also divides by a temperature that its kernel for the CPU was to spread
over the drafts and did not (it fills a copy): memory as it was found, and tokens that the grammar forbids.
"""

from __future__ import annotations

import torch


class RewindableGenerator(torch.Generator):
    """A CPU generator whose only reachable offset is the beginning."""

    def get_offset(self) -> int:
        """Where vLLM counts from."""
        return 0

    def set_offset(self, offset: int) -> torch.Generator:
        """Begins again at the seed, whatever the offset."""
        return self.manual_seed(self.initial_seed())


def spread(
    output: torch.Tensor,
    values: torch.Tensor,
    ends: torch.Tensor,
    replace_from: float,
    replace_to: float,
    *_: object,
) -> None:
    """Fills ``output`` (tokens,) with the value of each token's request, which ends before token ``ends`` (requests,).

    >>> spread(filled := torch.empty(3), torch.tensor([0.0, 0.7, 0.5]), torch.tensor([2, 2, 3]), 0, 1)
    >>> filled
    tensor([1.0000, 1.0000, 0.5000])
    """
    counts = ends.diff(prepend=ends.new_zeros(1))
    output.copy_(torch.where(values == replace_from, replace_to, values).repeat_interleave(counts))


if __name__ in (
    "__main__",
    "__mp_main__",
):  # vLLM spawns its engine core, which reads this module under the second name
    torch.Generator = RewindableGenerator

    from vllm.utils import cpu_triton_utils

    cpu_triton_utils._expand_kernel_impl = spread

if __name__ == "__main__":
    from vllm.entrypoints.launchers.api_server.entry import main

    main()
