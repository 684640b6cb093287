"""ms-swift's speed: ``python -m tools.train_bench.theirs MODEL DATA CASE…`` runs the cases and prints one JSON line each.

A CASE is JSON with the keys name, kd, batch, recompute, liger, steps, warmup, lora_rank and workers. Steps are timed like
ours (``trainer.training.measure``). Batches are padded, on sdpa: ms-swift packs only with a flash-attention wheel.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("LOG_LEVEL", "ERROR")

import torch
import transformers
from swift.arguments import RLHFArguments, SftArguments  # type: ignore[import-not-found]  # only .venv-swift has it
from swift.pipelines import rlhf_main, sft_main  # type: ignore[import-not-found]
from swift.template.templates import qwen  # type: ignore[import-not-found]

from trainer.training.measure import StepClock


def run_case(model: str, data: str, case: dict[str, Any], out: str) -> dict[str, Any]:
    """Trains one case and returns its measurements."""
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    clock = StepClock()
    train = transformers.Trainer.train

    def train_with_clock(self: Any, *arguments: Any, **options: Any) -> Any:
        self.add_callback(clock)
        return train(self, *arguments, **options)

    # ms-swift builds its trainer itself, so the clock can only be added here.
    transformers.Trainer.train = train_with_clock  # type: ignore[method-assign]
    options = _swift_options(model, data, case, out, cuda=cuda)
    try:
        if case["kd"]:
            distillation = {
                "rlhf_type": "gkd",
                "teacher_model": model,
                "teacher_model_type": "qwen3_vl",
                "beta": 0.1,
                "lmbda": 0.0,
                "sft_alpha": 1.0,
            }
            rlhf_main(RLHFArguments(**options, **distillation))
        else:
            sft_main(SftArguments(**options))
    finally:
        transformers.Trainer.train = train
    step_times_s = clock.step_times_s()[case["warmup"] - 1 :]
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        **case,
        "device": torch.cuda.get_device_name() if cuda else "CPU",
        "step_s": statistics.median(step_times_s),
        "took": step_times_s,
        "samples_per_s": case["batch"] * len(step_times_s) / sum(step_times_s),
        "peak_memory_gib": peak / 2**30,
    }


def _swift_options(model: str, data: str, case: dict[str, Any], out: str, *, cuda: bool) -> dict[str, Any]:
    return {
        "model": model,
        "model_type": "qwen3_vl",
        "template": "qwen3_vl",
        "dataset": [data],
        "torch_dtype": "bfloat16" if cuda else "float32",
        "tuner_type": "lora",
        "lora_rank": case["lora_rank"],
        "lora_alpha": 2 * case["lora_rank"],
        "lora_dropout": 0.0,
        "target_modules": ["all-linear"],
        "freeze_vit": True,
        "freeze_aligner": False,
        "output_dir": out,
        "max_steps": case["warmup"] + case["steps"],
        "learning_rate": 1e-5,
        "per_device_train_batch_size": case["batch"],
        "gradient_accumulation_steps": 1,
        "gradient_checkpointing": case["recompute"],
        "use_liger_kernel": case["liger"],
        "attn_impl": "sdpa",
        "max_length": 8192,
        "split_dataset_ratio": 0.0,
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_steps": 1000,
        "report_to": ["none"],
        "dataloader_num_workers": case["workers"],
        "dataset_num_proc": 1,
        "check_model": False,
        "use_cpu": not cuda,
        "bf16": cuda,
        "fp16": False,
        "save_only_model": True,
        "adam_beta2": 0.95,
        "weight_decay": 0.1,
        "max_grad_norm": 1.0,
    }


def main() -> None:
    """The command."""
    model, data, *cases = sys.argv[1:]
    image_token = json.loads(Path(model, "config.json").read_text("utf-8"))["image_token_id"]
    qwen.Qwen2VLTemplate.image_token_id = image_token  # the class has the id of Qwen's own vocabulary
    for document in cases:
        case = json.loads(document)
        with tempfile.TemporaryDirectory() as out:
            try:
                result = run_case(model, data, case, out)
            except Exception as error:  # a later case may fit into the memory
                result = {**case, "error": f"{type(error).__name__}: {error}"[:600]}
        sys.stdout.write("\n" + json.dumps(result) + "\n")
        sys.stdout.flush()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
