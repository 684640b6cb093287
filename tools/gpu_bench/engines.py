"""The engines that are compared, and which part of the benchmark needs which."""

from __future__ import annotations

import json
from dataclasses import dataclass

from engine.profile import Quantization


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Our flags and one lever more, or vLLM as it comes. ``recited`` ones say what a trained model would (``recited.py``);
    others go on to their limit of tokens (``long_answers.py``), which nothing can guess.
    """

    flags: tuple[str, ...] = ()
    quantization: Quantization | None = None
    as_it_comes: bool = False
    drafts: int = 0
    recited: bool = False

    @property
    def answers(self) -> tuple[str, str]:
        """The flag that keeps random weights writing."""
        if self.recited:
            return "--scheduler-cls", f"tools.gpu_bench.recited.Recited{'Drafts' if self.drafts else ''}"
        return "--logits-processors", "tools.gpu_bench.long_answers:LongAnswers"


# A photo of 1024×768 is 768 tokens; else the budgets are powers of two, and a quarter of each graph would be padding.
_ENCODER_GRAPHS = (
    "--compilation-config",
    json.dumps(
        {
            "cudagraph_mm_encoder": True,
            "encoder_cudagraph_token_budgets": [768, 1536, 3072, 6144],
            "encoder_cudagraph_max_vision_items_per_batch": 8,
        }
    ),
)

VARIANTS = {
    "ours": Variant(),
    "stock": Variant(as_it_comes=True),
    "fp8": Variant(quantization="fp8"),
    "encoder-graphs": Variant(flags=_ENCODER_GRAPHS),
    # Pixels (9.4 MB a photo) go to the engine core through shared memory instead of its socket. The cache of prepared photos,
    # of no use where every photo is new, would hold gigabytes of it.
    "shared-tensors": Variant(flags=("--mm-tensor-ipc", "torch_shm", "--mm-processor-cache-gb", "0")),
    "recited": Variant(recited=True),
    "drafts": Variant(recited=True, drafts=8),
    "drafts-graphs": Variant(recited=True, drafts=8, flags=_ENCODER_GRAPHS),
    "recited-stock": Variant(recited=True, as_it_comes=True),
}
"""Checked against vLLM 0.24. There photos can be normalised on the device neither in the model (no such flag yet) nor by the
processor (``{"device": "cuda"}``: the engine core would pin tensors of the device, which torch refuses).
"""

RECITED = tuple(name for name, variant in VARIANTS.items() if variant.recited)
"""The variants that say what a trained model would; comparable with each other only."""

LEVERS = tuple(name for name in VARIANTS if name not in {"ours", "stock", *RECITED})
"""Our flags and one lever more. These and the recited ones are asked without our service: parts of their own."""

PARTS: dict[str, str | None] = {
    **dict.fromkeys(("warm", "pairs", "raw", "profile", "more-pairs", "stage-b", "tickets", "free"), "ours"),
    "stock": "stock",
    **{name: name for name in (*LEVERS, *RECITED)},
    **dict.fromkeys(("drafts-pairs", "drafts-stage-b"), "drafts"),
    "twins": None,
    "transformers": None,
    "quality": None,
    "same": None,
}
"""The parts and the engine that each needs, in their usual order."""
