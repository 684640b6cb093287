"""Transformers' ``Trainer`` with this product's batches, parameter groups, metrics and checkpoints.

It is exact where upstream averages: losses are summed over tokens and divided by the tokens of the whole step, over
micro-batches and ranks; evaluation is a mean over tokens, not over batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch.utils.data import DataLoader
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainingArguments
from typing_extensions import override

from trainer.config import TrainingSection
from trainer.model.collate import COUNTS, model_inputs
from trainer.training import checkpoints, optim, schedule
from trainer.training.callbacks import is_save_delayed
from trainer.training.distiller import Distiller
from trainer.training.errors import CheckpointNotWritten, LossDiverged, StudentServerLost
from trainer.training.meters import Meters
from trainer.training.samples import EpochLoader, to_device
from trainer.training.sharding import without_tied


class RunTrainer(Trainer):
    """The trainer of one run.

    ``loaders`` are this rank's training batches and evaluation batches (or None). ``finish`` completes a checkpoint
    directory after its weights are written. ``distiller`` adds a teacher. ``settings`` are those that must be the same
    when the run continues from one of its checkpoints.
    """

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        training: TrainingSection,
        *,
        loaders: tuple[EpochLoader, EpochLoader | None],
        finish: Callable[[Path], None],
        callbacks: list[TrainerCallback],
        distiller: Distiller | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        evaluation = loaders[1].dataset if loaders[1] is not None else None
        super().__init__(model, args, train_dataset=loaders[0].dataset, eval_dataset=evaluation, callbacks=callbacks)
        self.remove_callback(ProgressCallback)  # writes to standard output, which is for the command's result
        self.remove_callback(PrinterCallback)
        self.training = training
        self._loaders = loaders
        self._finish = finish
        self._distiller = distiller
        self._settings = settings or {}
        self._aside: Path | None = None  # where the checkpoint in hand is written
        self._image_items: torch.Tensor | None = None  # image tokens of the current step, over all ranks
        self._meters = Meters(self._sum_over_ranks, args.device)
        self._seen = [0, 0]  # samples, tokens since the last log
        self._since = time.perf_counter()
        self._rates: dict[str, float] = {}  # learning rates of the current step, by tower

    @override
    def get_train_dataloader(self) -> DataLoader[Any]:
        return self._loaders[0]

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The configured optimizer, with a parameter group for each tower."""
        if self.optimizer is None:
            chosen: Any = self.model if model is None else model
            self.optimizer = optim.optimizer(chosen.named_parameters(), self.training)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The configured schedule over the steps of the run."""
        if self.lr_scheduler is None:
            self.lr_scheduler = schedule.scheduler(optimizer or self.optimizer, self.training, num_training_steps)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> Any:
        """The batches of the next step, with generated answers, and their number of supervised tokens over all ranks.

        Raises:
            StudentServerLost: the server that generates answers is unavailable; the run was saved.
        """
        batches = list(islice(epoch_iterator, num_batches))
        place = (
            device if self.args.world_size > 1 else torch.device("cpu")
        )  # reading a count on the device blocks the host
        if self._distiller is not None and batches:
            model = self.accelerator.unwrap_model(self.model)
            try:
                with self.accelerator.autocast():
                    batches = self._distiller.with_answers(model, batches, self.state.global_step)
            except StudentServerLost as error:
                raise error.with_checkpoint(self._save_step()) from error.__cause__
            counts = torch.tensor(sum(map(self._distiller.image_tokens, batches)), device=place)
            reduced: Any = self.accelerator.reduce(counts, "sum")
            self._image_items = reduced
        return batches, self._get_num_items_in_batch(batches, place)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The step's loss; also counts for the logs, without waiting for the device."""
        for place, key in enumerate(COUNTS):
            self._seen[place] += inputs[key]
        if self.optimizer is not None:
            groups = self.optimizer.param_groups
            self._rates = {group["name"].split("/")[0]: group["lr"] for group in groups if "name" in group}
        batch, inputs = inputs, model_inputs(inputs)
        if self._distiller is not None:
            inputs["distillation"] = self._distiller.distillation_batch(model, inputs, batch)
            inputs["image_items_in_batch"] = self._image_items
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        self._meters.add(outputs)
        return (loss, outputs) if return_outputs else loss

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Means over all supervised tokens of the evaluation data: ``eval_loss``, ``eval_token_acc``. No teacher runs."""
        batches = self._loaders[1]
        if batches is None:
            raise ValueError("there is no evaluation data: set custom.val_jsonl, or training.eval_strategy to no")
        meters = Meters(self._sum_over_ranks, self.args.device)
        model: Any = self.model_wrapped
        model.eval()
        started, samples = time.perf_counter(), 0
        with torch.no_grad(), self.compute_loss_context_manager(), self.accelerator.autocast():
            for batch in batches:
                samples += batch["num_samples"]
                meters.add(model(**model_inputs(self._prepare_inputs(batch))))
        model.train()
        means = meters.means()
        metrics = {f"{metric_key_prefix}_loss": means["sft_loss"]} if "sft_loss" in means else {}
        metrics |= {f"{metric_key_prefix}_{name}": value for name, value in means.items()}
        metrics[f"{metric_key_prefix}_runtime_s"] = time.perf_counter() - started
        self.log(dict(metrics))
        self._since = time.perf_counter()
        self._seen = [0, 0]
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs under ``train/…`` and ``eval/…``, with this trainer's own metrics added."""
        if "loss" in logs:
            logs = self._training_metrics(logs)
        elif "train_runtime" in logs:
            logs = {"train/runtime_s": logs["train_runtime"]}
        else:
            logs = {_metric_name(name): value for name, value in logs.items()}
        super().log(logs)

    def save_final(self) -> None:
        """Saves the last step's checkpoint in addition to ``save_total_limit``, unless it exists or nothing is saved."""
        if self.training.save_last_epoch:
            self._save_step()

    def close(self) -> None:
        """Releases the resources of the run outside this process: loading processes, a teacher's or a student's server."""
        for batches in self._loaders:
            if batches is not None:
                batches.close()
        if self._distiller is not None:
            self._distiller.close()

    def load_best(self) -> None:
        """Loads the weights of the best checkpoint, if there is one."""
        if self.state.best_model_checkpoint is not None:
            self._load_best_model()

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """0, since the upstream estimate ignores photos."""
        return 0

    def _clip_grad_norm(self, model: Any) -> Any:
        # Upstream walks through all parameters of the model: with adapters, 3,400 modules of a 4B model. The optimizer's
        # groups hold only the trained ones.
        if self.args.fsdp or self.args.deepspeed:
            return super()._clip_grad_norm(model)
        trained = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        return self.accelerator.clip_grad_norm_(trained, self.args.max_grad_norm)

    def _training_metrics(self, logs: dict[str, float]) -> dict[str, float]:
        now = time.perf_counter()
        elapsed, self._since = max(now - self._since, 1e-9), now
        counts = torch.tensor(self._seen, dtype=torch.float64, device=self.args.device)
        self._seen = [0, 0]
        samples, tokens = self._sum_over_ranks(counts)
        named = {"train/loss": logs["loss"]} | {f"train/{name}": mean for name, mean in self._meters.means().items()}
        if "grad_norm" in logs:
            named["train/grad_norm"] = float(logs["grad_norm"])
        named["train/lr"] = max(self._rates.values(), default=logs["learning_rate"])
        named |= {f"train/lr_{tower}": rate for tower, rate in self._rates.items()}
        return named | {"train/samples_per_s": samples / elapsed, "train/tokens_per_s": tokens / elapsed}

    def _save_step(self) -> Path | None:
        """This step's checkpoint, written unless it exists; None if the run saves none, or has not started."""
        if self.training.save_strategy == "no" or not self.state.global_step:
            return None
        directory = Path(str(self.args.output_dir), f"checkpoint-{self.state.global_step}")
        if not directory.exists():
            limit, self.args.save_total_limit = self.args.save_total_limit, None  # deletes no earlier checkpoint for it
            model: Any = self.model_wrapped
            self._save_checkpoint(model, trial=None)
            self.args.save_total_limit = limit
        return directory

    @override
    def _get_output_dir(self, trial: Any) -> str:
        return super()._get_output_dir(trial) if self._aside is None else str(self._aside)

    @override
    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Writes this step's checkpoint aside and renames it when it is complete and on the disk.

        Raises:
            LossDiverged: a parameter is not finite; nothing is written and no earlier checkpoint deleted.
            CheckpointNotWritten: the disk refuses it.
        """
        self._check_finite()
        run_dir, step = Path(self._get_output_dir(trial)), self.state.global_step
        aside = run_dir / checkpoints.ASIDE
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            if self.args.should_save:
                checkpoints.begin(run_dir)
            self.accelerator.wait_for_everyone()
            self._aside = aside
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()  # every rank has written its part
            self._publish(aside / f"checkpoint-{step}", run_dir)
            self.accelerator.wait_for_everyone()
        except (OSError, RuntimeError, SafetensorError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise CheckpointNotWritten(step, run_dir, str(error).splitlines()[0]) from error
        finally:
            self._aside = None
            self.args.save_total_limit = limit
            if self.args.should_save:
                checkpoints.end(run_dir)
        if self.args.should_save:
            checkpoints.rotate(run_dir, limit, self.state.best_model_checkpoint)

    def _publish(self, written: Path, run_dir: Path) -> None:
        step = self.state.best_global_step
        best = run_dir / f"checkpoint-{step}" if step else None
        if best is not None and (best.is_dir() or best.name == written.name):
            self.state.best_model_checkpoint = str(best)
        if self.args.should_save:
            self.state.save_to_json(str(written / checkpoints.STATE))
            checkpoints.publish(written, run_dir, self._settings)

    def _check_finite(self) -> None:
        bad = torch.zeros((), dtype=torch.float64, device=self.args.device)
        for group in self.optimizer.param_groups if self.optimizer is not None else ():
            for parameter in group["params"]:
                values = parameter.to_local() if hasattr(parameter, "to_local") else parameter
                bad += (~torch.isfinite(values.detach())).sum()
        if any(self._sum_over_ranks(bad[None])) or not self._meters.are_finite():
            raise LossDiverged(self.state.global_step, float("nan"))

    def _sum_over_ranks(self, sums: torch.Tensor) -> list[float]:
        reduced: Any = self.accelerator.reduce(sums, "sum")
        return reduced.tolist()

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return to_device(inputs, self.args.device)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Whether this evaluation is the best so far; evaluations during the save delay do not count."""
        if is_save_delayed(self.training, self.state.global_step, self.state.epoch):
            return False
        return super()._determine_best_metric(metrics, trial)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, without_tied(self.model, state_dict) if state_dict is not None else None)
        if self.args.should_save:
            self._finish(Path(output_dir or str(self.args.output_dir)))


def _metric_name(name: str) -> str:
    """A metric name of transformers with its mode as a prefix.

    >>> _metric_name("eval_loss"), _metric_name("train_runtime"), _metric_name("epoch")
    ('eval/loss', 'train/runtime', 'epoch')
    """
    for mode in ("train", "eval"):
        if name.startswith(f"{mode}_"):
            return f"{mode}/{name.removeprefix(f'{mode}_')}"
    return name
