"""With and without Liger: ``python -m tools.train_bench.equal CHECKPOINT… DATA`` prints losses and distances of gradients.

The distance from float32 shows the error of bfloat16 alone. Without a GPU all runs are plain float32: a test of the script.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers.models.qwen3_vl import modeling_qwen3_vl as upstream

from trainer.config import TunerSection
from trainer.data.dataset import SampleDataset
from trainer.model import network, tuners
from trainer.model.collate import model_inputs, pack_samples
from trainer.model.encode import Encoder
from trainer.model.liger import use_liger_kernels
from trainer.training.samples import to_device


def loss_and_gradients(checkpoint: Path, data: Path, *, liger: bool, dtype: torch.dtype) -> tuple[float, torch.Tensor]:
    """The loss of two packed samples, and all gradients as one vector, of a LoRA of rank 8 with random matrices."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = Encoder.load(checkpoint)
    attn_impl = network.attention_implementation("auto", packing=True)
    model: Any = network.load(checkpoint, dtype=dtype, attn_impl=attn_impl, pixel_table=encoder.pixels.table_CV)
    if liger and device.type == "cuda":
        use_liger_kernels(model)
    facts = model.facts(encoder.pad_token)
    tuner = TunerSection(lora_rank=8, lora_dropout=0.0, freeze_aligner=False)
    torch.manual_seed(0)
    model = tuners.apply_tuner(model, tuner, masters=True).train().to(device)
    generator = torch.Generator(device=device).manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            with torch.no_grad():
                parameter.normal_(std=0.01, generator=generator)
    dataset = SampleDataset(data, shuffle=False)
    batch = pack_samples([encoder.encode(dataset[n]) for n in range(2)], facts)
    half = dtype is torch.bfloat16 and device.type == "cuda"
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        loss = model(**model_inputs(to_device(batch, device))).loss
    loss.backward()
    gradients = [p.grad.float().flatten().cpu() for p in model.parameters() if p.grad is not None]
    return float(loss), torch.cat(gradients)


def compare_liger(checkpoint: Path, data: Path) -> dict[str, Any]:
    """Losses, and distances between gradients relative to the norm of float32's."""
    results = {}
    # Liger patches these functions for the whole process, not for one model: restore them afterwards.
    positions = (
        upstream.apply_rotary_pos_emb,
        upstream.apply_rotary_pos_emb_vision,
    )
    cases = {"plain": (False, torch.bfloat16), "float32": (False, torch.float32), "liger": (True, torch.bfloat16)}
    for name, (liger, dtype) in cases.items():
        results[name] = loss_and_gradients(
            checkpoint, data, liger=liger, dtype=dtype if torch.cuda.is_available() else torch.float32
        )
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    upstream.apply_rotary_pos_emb, upstream.apply_rotary_pos_emb_vision = positions
    reference = results["float32"][1]
    return {
        "checkpoint": checkpoint.name,
        "losses": {name: loss for name, (loss, _) in results.items()},
        "plain_from_float32": float((results["plain"][1] - reference).norm() / reference.norm()),
        "liger_from_float32": float((results["liger"][1] - reference).norm() / reference.norm()),
        "liger_from_plain": float((results["liger"][1] - results["plain"][1]).norm() / reference.norm()),
    }


def main() -> None:
    """The command."""
    *checkpoints, data = map(Path, sys.argv[1:])
    for checkpoint in checkpoints:
        print(json.dumps(compare_liger(checkpoint, data)), flush=True)


if __name__ == "__main__":
    main()
