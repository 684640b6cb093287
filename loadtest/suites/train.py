"""``vqc-bench train``: the speed of the trainer on the same photos, in several variants, alternately.

Each run is a process, ``python -m trainer.training.measure``; this module chooses and orders the runs and compares them.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import click
import yaml

from loadtest.errors import BenchFailed
from loadtest.report import as_json, table

PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}
"""Dense bfloat16 of NVIDIA's data sheets, by a part of the device's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainVariant:
    """One way to train: with a teacher (GKD, forward only), packed, with recomputation, with Liger's kernels, compiled."""

    gkd: bool
    packing: bool
    recompute: bool
    liger: bool = False
    compiled: bool = False

    @property
    def name(self) -> str:
        """Such as ``gkd+packing``."""
        options = {"packing": self.packing, "recompute": self.recompute, "liger": self.liger, "compiled": self.compiled}
        on = [word for word, is_on in options.items() if is_on]
        return "+".join(["gkd" if self.gkd else "sft", *on])


VARIANTS = tuple(
    TrainVariant(gkd=g, packing=p, recompute=r, liger=k, compiled=c)
    for c, k, g, p, r in product((False, True), repeat=5)
    if not (c and k)
)
"""All but those with both Liger's kernels and compilation, which the trainer rejects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """The data and steps of every variant. A packed row holds up to ``row_tokens``, a padded batch ``batch_size`` samples.

    ``data`` is a file of records that replaces the drawn photos (``photos`` of ``size_wh``).
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
class TrainRow:
    """Medians over the rounds. ``mfu`` is the share of the device's peak; None if the peak is not known."""

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


@click.command()
@click.option(
    "--model", default="tiny", show_default=True, help="Checkpoint directory; `vqc-train tiny OUT --size 4b` makes one."
)
@click.option(
    "--variant",
    "names",
    type=click.Choice([variant.name for variant in VARIANTS]),
    multiple=True,
    help="Variant to measure; default: all without Liger and compilation.",
)
@click.option("--rounds", type=click.IntRange(1, 20), default=2, show_default=True, help="Runs per variant.")
@click.option("--steps", type=click.IntRange(1), default=20, show_default=True, help="Measured steps per run.")
@click.option("--warmup", type=click.IntRange(1), default=5, show_default=True, help="Steps before the measured ones.")
@click.option("--photos", type=click.IntRange(4), default=64, show_default=True, help="Number of drawn photos.")
@click.option("--width", type=click.IntRange(64, 8192), default=1024, show_default=True, help="Photo width, pixels.")
@click.option("--height", type=click.IntRange(64, 8192), default=768, show_default=True, help="Photo height, pixels.")
@click.option("--batch-size", type=click.IntRange(1), default=4, show_default=True, help="Samples per padded batch.")
@click.option("--row-tokens", type=click.IntRange(64), default=8192, show_default=True, help="Tokens per packed row.")
@click.option(
    "--lora-rank",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    help="On language model and aligner.",
)
@click.option("--workers", type=click.IntRange(0), default=4, show_default=True, help="Data loading processes.")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of records instead of drawn photos.",
)
@click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), help="Directory to keep; default: a temporary one."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def train(
    model: str,
    names: tuple[str, ...],
    rounds: int,
    steps: int,
    warmup: int,
    photos: int,
    width: int,
    height: int,
    batch_size: int,
    row_tokens: int,
    lora_rank: int,
    workers: int,
    data: Path | None,
    work: Path | None,
    as_document: bool,
) -> None:
    """The trainer's speed and peak memory on the same photos, with and without a teacher, packing and recomputation.

    MFU counts the student's operations only, without recomputation. On a CPU, memory is that of the process.
    """
    from rich.console import Console

    plan = TrainPlan(
        model=model, photos=photos, size_wh=(width, height), steps=steps, warmup=warmup, batch_size=batch_size,
        row_tokens=row_tokens, lora_rank=lora_rank, workers=workers, data=data,
    )  # fmt: skip
    usual = [variant for variant in VARIANTS if not variant.liger and not variant.compiled]
    chosen = [variant for variant in VARIANTS if variant.name in names] if names else usual
    with tempfile.TemporaryDirectory(prefix="vqc-bench-train-") as folder, Console(stderr=True).status("") as status:
        place = work or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        rows = measure(place, plan, chosen, rounds=rounds, progress=status.update)
    if as_document:
        click.echo(as_json(rows))
        return
    headings = ["variant", "ms", "p10", "p90", "samp/s", "tok/s", "TF/s", "MFU", "GiB"]
    variants = table(headings, left=["variant"], title=rows[0].device)
    for row in rows:
        times = (f"{value:,.0f}" for value in (row.step_ms, row.step_p10_ms, row.step_p90_ms))
        mfu = f"{row.mfu:.1%}" if row.mfu is not None else "–"
        speeds = (f"{row.samples_per_s:,.2f}", f"{row.tokens_per_s:,.0f}", f"{row.tflops_per_s:.3g}")
        variants.add_row(row.variant, *times, *speeds, mfu, f"{row.peak_memory_gib:.1f}")
    Console().print(variants)


def measure(
    work: Path, plan: TrainPlan, variants: Sequence[TrainVariant], *, rounds: int, progress: Callable[[str], None]
) -> list[TrainRow]:
    """A row for each variant; the order is reversed every round, so that a drifting machine favours none.

    Raises:
        BenchFailed: a run failed; the message has the end of its standard error.
    """
    results: dict[TrainVariant, list[dict[str, Any]]] = {variant: [] for variant in variants}
    for number in range(rounds):
        for variant in variants if number % 2 == 0 else reversed(variants):
            progress(f"round {number + 1} of {rounds}: {variant.name}")
            results[variant].append(_run_variant(work, plan, variant))
    return [train_row(variant.name, runs) for variant, runs in results.items()]


def train_config(work: Path, plan: TrainPlan, variant: TrainVariant) -> dict[str, Any]:
    """The training configuration of a variant, as a YAML document."""
    tree: dict[str, Any] = {
        "model": {"model": plan.model, "torch_dtype": "bfloat16"},
        "global_max_length": plan.row_tokens,
        "template": {"truncation_strategy": "delete"},
        "tuner": {
            "lora_rank": plan.lora_rank, "lora_alpha": 2 * plan.lora_rank, "lora_dropout": 0.0, "freeze_aligner": False,
        },
        "training": {
            "output_dir": str(work / "run"),
            "max_steps": plan.warmup + plan.steps,
            "per_device_train_batch_size": 1 if variant.packing else plan.batch_size,
            "packing": variant.packing,
            "gradient_checkpointing": variant.recompute,
            "use_liger_kernel": variant.liger,
            "torch_compile": variant.compiled,
            "learning_rate": 1e-5,
            "logging_steps": plan.warmup + plan.steps,
            "logging_first_step": False,
            "save_strategy": "no",
            "report_to": ["none"],
            "dataloader_num_workers": plan.workers,
        },
        "custom": {"scenes": {"train": {"seed": 1, "count": plan.photos}, "size_wh": list(plan.size_wh)}},
    }  # fmt: skip
    if plan.data is not None:
        tree["custom"] = {"train_jsonl": str(plan.data)}
    if variant.gkd:
        tree["rlhf"] = {"rlhf_type": "gkd", "beta": 0.1, "lmbda": 0.0, "seq_kd": False}
    return tree


def _run_variant(work: Path, plan: TrainPlan, variant: TrainVariant) -> dict[str, Any]:
    path = work / "train.yaml"
    path.write_text(yaml.safe_dump(train_config(work, plan, variant)), encoding="utf-8")
    command = [sys.executable, "-m", "trainer.training.measure", str(path), "--warmup", str(plan.warmup)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchFailed(f"{variant.name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def train_row(variant: str, runs: Sequence[dict[str, Any]]) -> TrainRow:
    """The medians of a variant's runs, each a JSON line of ``trainer.training.measure``."""
    named = [name for name in runs[0] if name not in ("device", "losses")]
    median = {name: statistics.median(result[name] for result in runs) for name in named}
    device = str(runs[0]["device"])
    peak = next((value for part, value in PEAK_TFLOPS.items() if part in device), None)
    return TrainRow(
        variant=variant,
        device=device,
        rounds=len(runs),
        step_ms=1000 * median["step_s"],
        step_p10_ms=1000 * median["step_p10_s"],
        step_p90_ms=1000 * median["step_p90_s"],
        samples_per_s=median["samples_per_s"],
        tokens_per_s=median["tokens_per_s"],
        tflops_per_s=median["tflops_per_s"],
        mfu=median["tflops_per_s"] / peak if peak else None,
        peak_memory_gib=median["peak_memory_gib"],
    )
