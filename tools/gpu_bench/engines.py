"""The engines that are compared, and which part of the benchmark needs which."""

from __future__ import annotations

import json
from dataclasses import dataclass

from engine.profile import Quantization

_SHARED_TENSORS = ("--mm-tensor-ipc", "torch_shm")


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
    # Pixels (9.4 MB a photo) go to the engine core through shared memory instead of its socket.
    "shared-tensors": Variant(flags=_SHARED_TENSORS),
    # Photos are resized and normalised on the GPU, in the API processes; 0.24 has no normalisation in the model. The tensors
    # stay on the device, so they need the shared queue, room beside the engine, and no cache that would hold gigabytes there.
    "device-photos": Variant(
        flags=(
            *_SHARED_TENSORS,
            *("--mm-processor-kwargs", json.dumps({"device": "cuda"})),
            *("--mm-processor-cache-gb", "0", "--gpu-memory-utilization", "0.75"),
        )
    ),
}
"""Checked against vLLM 0.24."""

LEVERS = tuple(name for name in VARIANTS if name not in {"ours", "stock"})
"""The variants that are asked without our service: parts of their own."""

PARTS: dict[str, str | None] = {
    **dict.fromkeys(("warm", "pairs", "profile", "more-pairs", "stage-b", "tickets", "free"), "ours"),
    "stock": "stock",
    **{lever: lever for lever in LEVERS},
    "transformers": None,
    "quality": None,
}
"""The parts and the engine that each needs, in their usual order."""
