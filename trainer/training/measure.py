"""Measures training speed: ``python -m trainer.training.measure CONFIG…`` runs each training and prints one JSON line.

A step's time is the device's time from the end of the previous step to its own end. So it includes data, optimizer and
teacher, and measuring blocks nothing. The first steps are excluded. ``vqc-bench train`` compares runs with it.
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import sys
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import torch
from transformers import TrainerCallback
from typing_extensions import override

from trainer.config import TrainConfig, load_config
from trainer.training.flops import Work, training_flops
from trainer.training.profiling import PROFILED_STEPS, StepProfiler
from trainer.training.ranks import end_process_group
from trainer.training.run import build_trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Medians over the measured steps; ``peak_memory_gib`` is the device's (the process's resident memory on a CPU)."""

    device: str
    steps: int
    step_s: float
    step_p10_s: float
    step_p90_s: float
    samples_per_s: float
    tokens_per_s: float
    tflops_per_s: float
    peak_memory_gib: float
    losses: list[float]


class StepClock(TrainerCallback):
    """Records when each step ends, and the logged losses."""

    def __init__(self) -> None:
        self._ends: list[Any] = []
        self.losses: list[float] = []

    @override
    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            event: Any = torch.cuda.Event(enable_timing=True)
            event.record()
            self._ends.append(event)
        else:
            self._ends.append(perf_counter())

    @override
    def on_log(self, *_: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
        if "train/loss" in (logs or {}):
            self.losses.append((logs or {})["train/loss"])

    def step_times_s(self) -> list[float]:
        """Seconds of every step but the first."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            return [a.elapsed_time(b) / 1000 for a, b in pairwise(self._ends)]
        return [b - a for a, b in pairwise(self._ends)]


def work_of(batch: dict[str, Any]) -> Work:
    """The contents of a collated batch."""
    lengths = (
        batch["cu_seq_lens_q"].diff().tolist() if "cu_seq_lens_q" in batch else batch["attention_mask"].sum(1).tolist()
    )
    patches = batch["image_grid_thw"].prod(1).tolist() if "image_grid_thw" in batch else []
    return Work(
        samples=batch["num_samples"],
        tokens=batch["num_tokens"],
        supervised=len(batch["answer_places"]),
        patches=sum(patches),
        tokens_squared=sum(length**2 for length in lengths),
        patches_squared=sum(count**2 for count in patches),
    )


def measure(config: TrainConfig, *, warmup: int, profile: Path | None = None) -> Measurement:
    """Runs the training and measures every step after the first ``warmup`` ones.

    With ``profile`` the last two steps are profiled instead of measured, and the profile is written to that file.

    Raises:
        ValueError: the run has no step left to measure.
    """
    trainer: Any = build_trainer(config)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    clock, batches = StepClock(), []
    trainer.add_callback(clock)
    if profile is not None:
        trainer.add_callback(StepProfiler(profile, steps=PROFILED_STEPS))
    get_batch_samples = trainer.get_batch_samples

    def count_work(*given: Any) -> Any:  # before the batches are on the device: counting there would block each step
        samples, items = get_batch_samples(*given)
        batches.extend(map(work_of, samples))
        return samples, items

    trainer.get_batch_samples = count_work
    trainer.train()
    steps = clock.step_times_s()
    last = len(steps) - (PROFILED_STEPS if profile is not None else 0)
    took = steps[max(warmup, 1) - 1 : last]
    if warmup < 1 or not took:
        raise ValueError(f"{len(steps) + 1} steps leave none to measure after {warmup}, which must be at least 1")
    accumulated = config.training.gradient_accumulation_steps
    total = sum(batches[warmup * accumulated : (last + 1) * accumulated], start=Work())
    cuda = torch.cuda.is_available()
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    tenths = statistics.quantiles(took, n=10, method="inclusive") if len(took) > 1 else took * 9
    return Measurement(
        device=torch.cuda.get_device_name() if cuda else "CPU",
        steps=len(took),
        step_s=statistics.median(took),
        step_p10_s=tenths[0],
        step_p90_s=tenths[-1],
        samples_per_s=total.samples / sum(took),
        tokens_per_s=total.tokens / sum(took),
        tflops_per_s=training_flops(trainer.model, total) / sum(took) / 1e12,
        peak_memory_gib=peak / 2**30,
        losses=clock.losses,
    )


@click.command()
@click.argument("configs", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--warmup", type=click.IntRange(min=1), default=5, show_default=True, help="Number of first steps to exclude."
)
@click.option(
    "--profile", is_flag=True, help="Profile the last two steps instead, to CONFIG with the suffix .profile.txt."
)
def main(configs: tuple[Path, ...], warmup: int, profile: bool) -> None:
    """Run the training of each CONFIG, one after another, and print its speed as one JSON line."""
    for path in configs:
        table = path.with_suffix(".profile.txt") if profile else None
        found = measure(load_config(path), warmup=warmup, profile=table)
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
        sys.stdout.flush()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    end_process_group()


if __name__ == "__main__":
    main()
