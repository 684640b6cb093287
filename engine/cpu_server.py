"""vLLM's API server for a CPU: ``python -m engine.cpu_server`` takes vLLM's own flags.

vLLM 0.32 takes back the number that a sampled request with a seed drew on an unfinished prompt chunk by moving the random
generator's offset. A CPU generator of PyTorch has no offset, so one such request would end the engine. Here it starts
over from its seed, which is the same: nothing was drawn before the prompt was complete.
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


if __name__ in (
    "__main__",
    "__mp_main__",
):  # vLLM spawns its engine core, which reads this module under the second name
    torch.Generator = RewindableGenerator

if __name__ == "__main__":
    from vllm.entrypoints.launchers.api_server.entry import main

    main()
