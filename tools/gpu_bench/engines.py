"""The engines that are compared, and which part of the benchmark needs which."""

from __future__ import annotations

import json
from dataclasses import dataclass

from engine.profile import Quantization


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Our flags and one lever more, or vLLM as it comes."""

    flags: tuple[str, ...] = ()
    quantization: Quantization | None = None
    as_it_comes: bool = False


VARIANTS = {
    "ours": Variant(),
    "stock": Variant(as_it_comes=True),
    "fp8": Variant(quantization="fp8"),
    # A photo of 1024×768 is 768 tokens; else the budgets are powers of two, and a quarter of each graph would be padding.
    "encoder-graphs": Variant(
        flags=(
            "--compilation-config",
            json.dumps(
                {
                    "cudagraph_mm_encoder": True,
                    "encoder_cudagraph_token_budgets": [768, 1536, 3072, 6144],
                    "encoder_cudagraph_max_vision_items_per_batch": 8,
                }
            ),
        )
    ),
    # Pixels (9.4 MB a photo) go to the engine core through shared memory instead of its socket. The cache of prepared photos,
    # of no use where every photo is new, would hold gigabytes of it.
    "shared-tensors": Variant(flags=("--mm-tensor-ipc", "torch_shm", "--mm-processor-cache-gb", "0")),
}
"""Checked against vLLM 0.24. There photos can be normalised on the device neither in the model (no such flag yet) nor by the
processor (``{"device": "cuda"}``: the engine core would pin tensors of the device, which torch refuses).
"""

LEVERS = tuple(name for name in VARIANTS if name not in {"ours", "stock"})
"""The variants that are asked without our service: parts of their own."""

PARTS: dict[str, str | None] = {
    **dict.fromkeys(("warm", "pairs", "profile", "more-pairs", "stage-b", "tickets", "free"), "ours"),
    "stock": "stock",
    **{lever: lever for lever in LEVERS},
    "twins": None,
    "transformers": None,
    "quality": None,
}
"""The parts and the engine that each needs, in their usual order."""
