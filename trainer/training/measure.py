"""The speed of training runs: ``python -m trainer.training.measure CONFIG…`` trains as each says and prints one JSON line.

A step's time reaches on the device from the end of the step before to its own; so data, optimizer and teacher are in it, and
nothing waits for the clock. The first steps are left out. ``vqc-bench train`` compares runs with it.
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
    """What a collated batch holds."""
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
    """Trains and measures every step after ``warmup`` ones.

    With ``profile`` the last two steps are not measured but profiled; the file is then what they spent their time on.

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

    def count_work(*given: Any) -> Any:  # on the host: asked of the device, each step would wait for the one before
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
@click.option("--warmup", type=click.IntRange(min=1), default=5, show_default=True, help="First steps left out.")
@click.option(
    "--profile", is_flag=True, help="Profile the last two steps instead: CONFIG with the suffix .profile.txt."
)
def main(configs: tuple[Path, ...], warmup: int, profile: bool) -> None:
    """Train as each CONFIG says, one after the other, and print how fast it was, one JSON line each."""
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
