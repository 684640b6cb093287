"""The compared engines, and the engine that each part of the benchmark needs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from engine.profile import Quantization


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineVariant:
    """Our flags and one lever, or vLLM with its own defaults. A ``recited`` engine replays labels (``replay_engine.py``).

    The others write up to their token limit (``long_answers.py``), which no draft can predict.
    """

    flags: tuple[str, ...] = ()
    quantization: Quantization | None = None
    as_it_comes: bool = False
    drafts: int = 0
    recited: bool = False

    @property
    def answer_flags(self) -> tuple[str, str]:
        """The flag that makes an engine with random weights write."""
        if self.recited:
            return "--scheduler-cls", f"tools.gpu_bench.replay_engine.Replay{'Draft' if self.drafts else ''}Scheduler"
        return "--logits-processors", "tools.gpu_bench.long_answers:LongAnswers"

    def without_levers(self) -> EngineVariant:
        """The same for a CPU, which has none of the levers."""
        return replace(self, flags=(), quantization=None)


# A photo of 1024×768 is 768 tokens. The default budgets are powers of two, so a quarter of each graph would be padding.
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
    "ours": EngineVariant(),
    "stock": EngineVariant(as_it_comes=True),
    "fp8": EngineVariant(quantization="fp8"),
    "encoder-graphs": EngineVariant(flags=_ENCODER_GRAPHS),
    # Pixels (9.4 MB a photo) reach the engine core through shared memory instead of its socket. The cache of prepared photos,
    # useless when every photo is new, would hold gigabytes of it.
    "shared-tensors": EngineVariant(flags=("--mm-tensor-ipc", "torch_shm", "--mm-processor-cache-gb", "0")),
    "recited": EngineVariant(recited=True),
    "drafts": EngineVariant(recited=True, drafts=8),
    "drafts-graphs": EngineVariant(recited=True, drafts=8, flags=_ENCODER_GRAPHS),
    "recited-stock": EngineVariant(recited=True, as_it_comes=True),
}
"""Checked with vLLM 0.24, which cannot normalise photos on the device: not in the model (no such flag yet), nor in the
processor (``{"device": "cuda"}``: the engine core would pin tensors of the device, which torch rejects).
"""

RECITED = tuple(name for name, variant in VARIANTS.items() if variant.recited)
"""The variants that replay labels; comparable with each other only."""

LEVERS = tuple(name for name in VARIANTS if name not in {"ours", "stock", *RECITED})
"""Our flags and one lever. These and the recited variants are measured without our service, each as a part of its own."""

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
"""The parts in their usual order, and the engine that each needs."""
