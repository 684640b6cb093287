"""Training errors, each with a remedy.

TrainingError
├── LossDiverged         the loss is not finite
├── OutOfMemory          the device has no memory left
├── NoGradient           a tower that is trained gets no gradient
├── CheckpointNotWritten the disk refused a checkpoint; those of before are complete
├── CheckpointRejected   a run cannot continue from a checkpoint (one sentence each in ``problems``)
├── StudentServerLost    the vLLM server of the student is unavailable or answers as another model
└── UnhealthyRun         checks before training failed (one sentence each in ``problems``)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vqc.errors import VqcError


class TrainingError(VqcError):
    """A run cannot continue."""


class LossDiverged(TrainingError):
    """The loss (or gradient norm) of a step is not finite."""

    def __init__(self, step: int, value: float) -> None:
        self.step = step
        self.value = value
        super().__init__(
            f"the loss is {value} at step {step}: lower training.learning_rate (try 1e-4 for LoRA, 5e-5 for full training), "
            "check the data with `vqc-train validate`, and keep max_grad_norm above 0"
        )


class OutOfMemory(TrainingError):
    """The device ran out of memory."""

    def __init__(self, step: int, detail: str) -> None:
        self.step = step
        super().__init__(
            f"out of device memory at step {step} ({detail}): lower per_device_train_batch_size (and raise "
            "gradient_accumulation_steps to keep the same effective batch), lower packing_length or global_max_length, "
            "enable gradient_checkpointing, or shard with deepspeed zero2/zero3 or training.fsdp"
        )


class NoGradient(TrainingError):
    """A tower with trainable parameters whose gradient is exactly zero in the first step."""

    def __init__(self, tower: str) -> None:
        self.tower = tower
        super().__init__(
            f"the {tower} has trainable parameters but its gradient is zero: the photos do not reach the model. In chat "
            'records an image is {"type": "image", "image": …}; `vqc-train validate` names records without one'
        )


class CheckpointNotWritten(TrainingError):
    """The checkpoint of a step could not be written; nothing of it is left, and earlier checkpoints are complete."""

    def __init__(self, step: int, run_dir: Path, detail: str) -> None:
        self.step = step
        super().__init__(
            f"the checkpoint of step {step} could not be written to {str(run_dir)!r} ({detail}): free disk space, or lower "
            "training.save_total_limit, and continue with training.resume_from_checkpoint from an earlier one"
        )


class CheckpointRejected(TrainingError):
    """A run cannot continue from a checkpoint. ``problems`` holds one sentence each."""

    def __init__(self, checkpoint: Path, problems: Iterable[str]) -> None:
        self.checkpoint = checkpoint
        self.problems = tuple(problems)
        super().__init__(
            f"the run cannot continue from {str(checkpoint)!r}:\n"
            + "\n".join(f"- {problem}" for problem in self.problems)
            + "\nUse a complete checkpoint with its own settings and records; training.resume_only_model: true starts a new "
            "run from its weights alone"
        )


class StudentServerLost(TrainingError):
    """The vLLM server of ``rlhf.use_vllm`` at ``url`` is unavailable, or does not answer as the student; see ``what``.

    ``start`` is a command that starts a suitable server, ``saved`` the checkpoint to which the run was saved.
    """

    def __init__(self, url: str, what: str, start: str, saved: Path | None = None) -> None:
        self.url, self.what, self.start = url, what, start
        resume = f" and continue with training.resume_from_checkpoint: {saved}" if saved is not None else ""
        super().__init__(f"the vLLM server of the student at {url} {what}. Start it with\n  {start}\n{resume}".rstrip())

    def with_checkpoint(self, checkpoint: Path | None) -> StudentServerLost:
        """The same error with the checkpoint from which the run can continue."""
        return StudentServerLost(self.url, self.what, self.start, checkpoint)


class UnhealthyRun(TrainingError):
    """Checks before training found problems that would make the run worthless. ``problems`` holds one sentence each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("training did not start:\n" + "\n".join(f"- {problem}" for problem in self.problems))
