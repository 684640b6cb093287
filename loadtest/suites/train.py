"""How fast the trainer is: the same photos trained in several ways, by turns, each run a process of its own.

The runs are the trainer's own (``python -m trainer.training.measure``); here they are chosen, ordered and put side by side.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from loadtest.errors import BenchFailed

PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}
"""Dense bfloat16 of NVIDIA's data sheets, by a part of the device's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to train: beside a teacher (GKD, forward only), packed, recomputed, with Liger's kernels, compiled."""

    gkd: bool
    packing: bool
    recompute: bool
    liger: bool = False
    compiled: bool = False

    @property
    def name(self) -> str:
        """Such as ``gkd+packing``."""
        said = {"packing": self.packing, "recompute": self.recompute, "liger": self.liger, "compiled": self.compiled}
        on = [word for word, is_on in said.items() if is_on]
        return "+".join(["gkd" if self.gkd else "sft", *on])


VARIANTS = tuple(
    Variant(gkd=g, packing=p, recompute=r, liger=k, compiled=c)
    for c, k, g, p, r in product((False, True), repeat=5)
    if not (c and k)
)
"""All but those with Liger's kernels compiled, which the trainer refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What every variant trains on. A packed row holds up to ``row_tokens``, a padded batch ``batch_size`` samples.

    ``data`` are records to train on instead of drawn photos (``photos`` of ``size_wh``).
    """

    model: str
    photos: int
    size_wh: tuple[int, int]
    steps: int
    warmup: int
    batch_size: int
    row_tokens: int
    lora_rank: int
    workers: int
    data: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Medians over the rounds. ``mfu`` is the share of the device's peak; None where that is not known."""

    variant: str
    device: str
    rounds: int
    step_ms: float
    step_p10_ms: float
    step_p90_ms: float
    samples_per_s: float
    tokens_per_s: float
    tflops_per_s: float
    mfu: float | None
    peak_memory_gib: float


def measure(
    work: Path, load: Load, variants: Sequence[Variant], *, rounds: int, starting: Callable[[str], None]
) -> list[Row]:
    """A row for each variant; the order turns round every round, so that a drifting machine favours none.

    Raises:
        BenchFailed: a run failed; the end of its standard error.
    """
    found: dict[Variant, list[dict[str, Any]]] = {variant: [] for variant in variants}
    for number in range(rounds):
        for variant in variants if number % 2 == 0 else reversed(variants):
            starting(f"round {number + 1} of {rounds}: {variant.name}")
            found[variant].append(_run(work, load, variant))
    return [row(variant.name, results) for variant, results in found.items()]


def config(work: Path, load: Load, variant: Variant) -> dict[str, Any]:
    """The training configuration of a variant, as YAML holds it."""
    tree: dict[str, Any] = {
        "model": {"model": load.model, "torch_dtype": "bfloat16"},
        "global_max_length": load.row_tokens,
        "template": {"truncation_strategy": "delete"},
        "tuner": {
            "lora_rank": load.lora_rank, "lora_alpha": 2 * load.lora_rank, "lora_dropout": 0.0, "freeze_aligner": False,
        },
        "training": {
            "output_dir": str(work / "run"),
            "max_steps": load.warmup + load.steps,
            "per_device_train_batch_size": 1 if variant.packing else load.batch_size,
            "packing": variant.packing,
            "gradient_checkpointing": variant.recompute,
            "use_liger_kernel": variant.liger,
            "torch_compile": variant.compiled,
            "learning_rate": 1e-5,
            "logging_steps": load.warmup + load.steps,
            "logging_first_step": False,
            "save_strategy": "no",
            "report_to": ["none"],
            "dataloader_num_workers": load.workers,
        },
        "custom": {"scenes": {"train": {"seed": 1, "count": load.photos}, "size_wh": list(load.size_wh)}},
    }  # fmt: skip
    if load.data is not None:
        tree["custom"] = {"train_jsonl": str(load.data)}
    if variant.gkd:
        tree["rlhf"] = {"rlhf_type": "gkd", "beta": 0.1, "lmbda": 0.0, "seq_kd": False}
    return tree


def _run(work: Path, load: Load, variant: Variant) -> dict[str, Any]:
    path = work / "train.yaml"
    path.write_text(yaml.safe_dump(config(work, load, variant)), encoding="utf-8")
    command = [sys.executable, "-m", "trainer.training.measure", str(path), "--warmup", str(load.warmup)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchFailed(f"{variant.name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def row(variant: str, results: Sequence[dict[str, Any]]) -> Row:
    """The medians of a variant's runs, each as ``trainer.training.measure`` printed it."""
    named = [name for name in results[0] if name not in ("device", "losses")]
    median = {name: statistics.median(result[name] for result in results) for name in named}
    device = str(results[0]["device"])
    peak = next((value for part, value in PEAK_TFLOPS.items() if part in device), None)
    return Row(
        variant=variant,
        device=device,
        rounds=len(results),
        step_ms=1000 * median["step_s"],
        step_p10_ms=1000 * median["step_p10_s"],
        step_p90_ms=1000 * median["step_p90_s"],
        samples_per_s=median["samples_per_s"],
        tokens_per_s=median["tokens_per_s"],
        tflops_per_s=median["tflops_per_s"],
        mfu=median["tflops_per_s"] / peak if peak else None,
        peak_memory_gib=median["peak_memory_gib"],
    )
