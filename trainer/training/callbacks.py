"""Callbacks of the training loop: when checkpoints are saved, where metrics go, checks of loss and gradients."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from typing_extensions import override

from trainer.model.towers import Tower, tower_of
from trainer.training.errors import LossDiverged, NoGradient
from trainer.training.logs import get_logger

if TYPE_CHECKING:
    from trainer.config import TrainingSection


LOG = get_logger("trainer.run")

LATEST_CHECK = 100
"""Step after which a tower that never had a gradient is no longer checked: its photos may all be in other batches."""


def is_save_delayed(training: TrainingSection, step: int, epoch: float | None) -> bool:
    """Whether checkpoints are still delayed; a delay in steps overrides one in epochs."""
    if training.save_delay_steps is not None:
        return step < training.save_delay_steps
    return training.save_delay_epochs is not None and (epoch or 0.0) < training.save_delay_epochs


class SaveTiming(TrainerCallback):
    """Cancels checkpoints during the delay, and the Trainer's own save at the last step."""

    def __init__(self, training: TrainingSection) -> None:
        self._training = training

    @override
    @override
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._decide(state, control)

    @override
    @override
    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._decide(state, control)

    def _decide(self, state: TrainerState, control: TrainerControl) -> None:
        # transformers always saves at the last step. Here ``RunTrainer.save_final`` does, unless the step is due anyway.
        last = state.global_step >= state.max_steps
        if last or is_save_delayed(self._training, state.global_step, state.epoch):
            control.should_save = control.should_save and last and state.global_step % self._training.save_steps == 0


class MetricsFile(TrainerCallback):
    """Writes every log line, unchanged, to ``logging.jsonl`` and TensorBoard."""

    def __init__(self, directory: Path, *, tensorboard: bool) -> None:
        self._directory = directory
        self._tensorboard = tensorboard
        self._writer: Any = None

    @override
    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
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

    @override
    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class ProgressBar(TrainerCallback):
    """A progress bar on standard error; if that is not a terminal, one log line per log instead."""

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

    @override
    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero and sys.stderr.isatty():
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", dynamic_ncols=True)

    @override
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    @override
    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        shown = {name: f"{value:.4g}" for name, value in (logs or {}).items() if name in self.SHOWN}
        if self._bar is not None:
            self._bar.set_postfix({name.removeprefix("train/"): value for name, value in shown.items()})
        elif shown and state.is_world_process_zero:
            numbers = " ".join(f"{name}={value}" for name, value in shown.items())
            LOG.info("step %d of %d: %s", state.global_step, state.max_steps, numbers)

    @override
    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class SoundnessCheck(TrainerCallback):
    """Stops a run whose loss is not finite, or whose vision towers get no gradient from the first photos.

    ``has_teacher``: then a step may have no gradient at all, as long as student and teacher are equal and the step has no
    cross-entropy.
    """

    def __init__(self, *, has_teacher: bool = False) -> None:
        self._unchecked = {Tower.VIT, Tower.ALIGNER}
        self._has_teacher = has_teacher

    @override
    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        for name in ("train/loss", "train/grad_norm"):
            if logs and name in logs and not math.isfinite(logs[name]):
                raise LossDiverged(state.global_step, logs[name])

    @override
    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        **_: Any,
    ) -> None:
        if not self._unchecked or model is None or args.deepspeed or args.fsdp:
            return
        # A tower is checked in the first step in which its parameters have gradients. Afterwards it costs nothing.
        has_gradient: dict[Tower, bool] = {}
        trained = [(tower_of(name), each) for name, each in model.named_parameters() if each.requires_grad]
        self._unchecked &= {tower for tower, _ in trained}
        for tower, parameter in trained:
            if (self._has_teacher or tower in self._unchecked) and parameter.grad is not None:
                has_gradient[tower] = has_gradient.get(tower, False) or bool(parameter.grad.count_nonzero())
        if self._has_teacher and not any(has_gradient.values()):
            return
        has_gradient = {tower: nonzero for tower, nonzero in has_gradient.items() if tower in self._unchecked}
        for tower, nonzero in has_gradient.items():
            if not nonzero:
                raise NoGradient(tower)
        self._unchecked -= has_gradient.keys()
        if state.global_step >= LATEST_CHECK:
            self._unchecked = set()


class RankAllocation(TrainerCallback):
    """Lets AdaLoRA reallocate ranks among modules in each step."""

    @override
    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        # AdaLoRA ranks modules by the step's gradients, so this must run before they are cleared.
        model.base_model.update_and_allocate(state.global_step)
