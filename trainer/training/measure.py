"""The speed of a training run: ``python -m trainer.training.measure CONFIG`` trains as CONFIG says and prints one JSON line.

A step's time reaches from the end of the step before to its own, the device waited for; so data, optimizer and teacher are in
it. The first steps are left out. ``vqc-bench train`` compares runs with it.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import torch
from transformers import TrainerCallback

from trainer.config import TrainConfig, load_config
from trainer.model.encode import IGNORED
from trainer.training.flops import Work, training_flops
from trainer.training.run import prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
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
    loss: float


class _Clock(TrainerCallback):
    """The moment each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.loss = float("nan")

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(perf_counter())

    def on_log(self, *_: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
        self.loss = (logs or {}).get("train/loss", self.loss)


def work_of(batch: dict[str, Any]) -> Work:
    """What a collated batch holds."""
    lengths = (
        batch["cu_seq_lens_q"].diff().tolist() if "cu_seq_lens_q" in batch else batch["attention_mask"].sum(1).tolist()
    )
    patches = batch["image_grid_thw"].prod(1).tolist() if "image_grid_thw" in batch else []
    return Work(
        samples=batch["num_samples"],
        tokens=batch["num_tokens"],
        supervised=int((batch["labels"] != IGNORED).sum()),
        patches=sum(patches),
        tokens_squared=sum(length**2 for length in lengths),
        patches_squared=sum(count**2 for count in patches),
    )


def measure(config: TrainConfig, *, warmup: int) -> Measured:
    """Trains and measures every step after ``warmup`` ones.

    Raises:
        ValueError: the run has no step left to measure.
    """
    trainer: Any = prepared(config)
    clock, batches = _Clock(), []
    trainer.add_callback(clock)
    compute_loss = trainer.compute_loss

    def counted(model: Any, inputs: dict[str, Any], *rest: Any, **options: Any) -> Any:
        batches.append(work_of(inputs))
        return compute_loss(model, inputs, *rest, **options)

    trainer.compute_loss = counted
    trainer.train()
    took = [end - begin for begin, end in zip(clock.ends[warmup - 1 :], clock.ends[warmup:], strict=False)]
    if warmup < 1 or not took:
        raise ValueError(f"{len(clock.ends)} steps leave none to measure after {warmup}, which must be at least 1")
    accumulated = config.training.gradient_accumulation_steps
    total = sum(batches[warmup * accumulated :], start=Work())
    cuda = torch.cuda.is_available()
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    tenths = statistics.quantiles(took, n=10, method="inclusive") if len(took) > 1 else took * 9
    return Measured(
        device=torch.cuda.get_device_name() if cuda else "CPU",
        steps=len(took),
        step_s=statistics.median(took),
        step_p10_s=tenths[0],
        step_p90_s=tenths[-1],
        samples_per_s=total.samples / sum(took),
        tokens_per_s=total.tokens / sum(took),
        tflops_per_s=training_flops(trainer.model, total) / sum(took) / 1e12,
        peak_memory_gib=peak / 2**30,
        loss=clock.loss,
    )


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--warmup", type=click.IntRange(min=1), default=5, show_default=True, help="First steps left out.")
def main(config: Path, warmup: int) -> None:
    """Train as CONFIG says and print how fast it was, as one JSON line."""
    sys.stdout.write(json.dumps(asdict(measure(load_config(config), warmup=warmup))) + "\n")


if __name__ == "__main__":
    main()
