"""What happens beside the loop: when checkpoints are kept, where metrics go, whether the run is still sound."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.model.towers import Tower, tower_of
from trainer.training.errors import LossDiverged, NoGradient
from trainer.training.logs import get_logger

if TYPE_CHECKING:
    from trainer.config import TrainingSection


LOG = get_logger("trainer.run")

LATEST_CHECK = 100
"""Step after which gradients of towers that never had any are no longer looked for: no photo comes their way."""


def is_save_delayed(training: TrainingSection, step: int, epoch: float | None) -> bool:
    """Whether checkpoints are still held back; the delay in steps wins over the one in epochs."""
    if training.save_delay_steps is not None:
        return step < training.save_delay_steps
    return training.save_delay_epochs is not None and (epoch or 0.0) < training.save_delay_epochs


class SaveTiming(TrainerCallback):
    """Holds checkpoints back during the delay, and decides about the one of the last step."""

    def __init__(self, training: TrainingSection) -> None:
        self._training = training

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Takes back a save that comes too early."""
        self._decide(state, control)

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """The same at the end of an epoch."""
        self._decide(state, control)

    def _decide(self, state: TrainerState, control: TrainerControl) -> None:
        last = state.global_step >= state.max_steps  # the final checkpoint is the run's own, see RunTrainer
        if last or is_save_delayed(self._training, state.global_step, state.epoch):
            control.should_save = control.should_save and last and state.global_step % self._training.save_steps == 0


class MetricsFile(TrainerCallback):
    """Appends every log line to ``logging.jsonl`` and TensorBoard, under the names it comes with."""

    def __init__(self, directory: Path, *, tensorboard: bool) -> None:
        self._directory = directory
        self._tensorboard = tensorboard
        self._writer: Any = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Writes one line."""
        if not state.is_world_process_zero or not logs:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / "logging.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, "steps": state.max_steps, **logs}) + "\n")
        if self._tensorboard:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(self._directory / "tensorboard"))
            for name, value in logs.items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, state.global_step)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Closes TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class ProgressBar(TrainerCallback):
    """A progress bar on standard error; where that is no terminal, a line for each log instead."""

    SHOWN = (
        "train/loss",
        "train/llm_kd_loss",
        "train/vision_kd_loss",
        "train/token_acc",
        "train/samples_per_s",
        "train/tokens_per_s",
        "eval/loss",
        "eval/token_acc",
    )

    def __init__(self) -> None:
        self._bar: Any = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Opens the bar."""
        if state.is_world_process_zero and sys.stderr.isatty():
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", dynamic_ncols=True)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Shows the numbers that people watch."""
        shown = {name: f"{value:.4g}" for name, value in (logs or {}).items() if name in self.SHOWN}
        if self._bar is not None:
            self._bar.set_postfix({name.removeprefix("train/"): value for name, value in shown.items()})
        elif shown and state.is_world_process_zero:
            numbers = " ".join(f"{name}={value}" for name, value in shown.items())
            LOG.info("step %d of %d: %s", state.global_step, state.max_steps, numbers)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class SoundnessCheck(TrainerCallback):
    """Stops a run whose loss is not a number, or whose vision towers get no gradient from the first photos.

    ``taught``: a step may have nothing to learn at all, while student and teacher are one and the data's answers do not count.
    """

    def __init__(self, *, taught: bool = False) -> None:
        self._unchecked = {Tower.VIT, Tower.ALIGNER}
        self._taught = taught

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Checks the numbers just logged."""
        for name in ("train/loss", "train/grad_norm"):
            if logs and name in logs and not math.isfinite(logs[name]):
                raise LossDiverged(state.global_step, logs[name])

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        **_: Any,
    ) -> None:
        """Checks the gradients of the first step that has any; sharded ones are left alone."""
        if not self._unchecked or model is None or args.deepspeed or args.fsdp:
            return
        moved: dict[Tower, bool] = {}
        trained = [(tower_of(name), each) for name, each in model.named_parameters() if each.requires_grad]
        self._unchecked &= {tower for tower, _ in trained}
        for tower, parameter in trained:
            if (self._taught or tower in self._unchecked) and parameter.grad is not None:
                moved[tower] = moved.get(tower, False) or bool(parameter.grad.count_nonzero())
        if self._taught and not any(moved.values()):
            return
        moved = {tower: any_moved for tower, any_moved in moved.items() if tower in self._unchecked}
        for tower, any_moved in moved.items():
            if not any_moved:
                raise NoGradient(tower)
        self._unchecked -= moved.keys()
        if state.global_step >= LATEST_CHECK:
            self._unchecked = set()


class RankAllocation(TrainerCallback):
    """Lets AdaLoRA move rank between modules after each step."""

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        """Prunes by the step's gradients, before they are cleared."""
        model.base_model.update_and_allocate(state.global_step)
