"""Checkpoints on disk: written aside and renamed when complete, deleted as a whole, and checked before a run continues.

A directory ``checkpoint-N`` is therefore always complete, whenever the process is killed. This module imports no torch.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trainer.config import TrainConfig
from trainer.training.errors import CheckpointRejected
from vqc.durable import sync_path
from vqc.errors import InvalidValue

ASIDE = ".writing"
"""Folder of a run directory in which a checkpoint is written or deleted; its content is never complete."""

CONTENT = "vqc_checkpoint.json"
"""File of a checkpoint that lists its files with their sizes, and the settings on which continuing depends."""

STATE = "trainer_state.json"

_WEIGHTS = (
    "adapter_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model_fsdp_0",
    "global_step*",
)
_OPTIMIZER = ("optimizer.pt", "optimizer.bin", "optimizer_0", "global_step*")
_SCHEDULER = ("scheduler.pt", "global_step*")
_RANDOM = ("rng_state*.pth",)

_FREE_SECTIONS = (
    "data",
    "prompts.missions",
    "custom.dump",
    "custom.train_jsonl",
    "custom.val",
    "custom.root_image_dir",
)
_FREE_TRAINING = (
    "output_dir", "run_name", "resume", "save_", "eval_", "logging_", "report_to", "dataloader_", "max_steps",
    "num_train_epochs", "load_best", "metric_for_best_model", "greater_is_better", "gradient_checkpointing",
    "vit_gradient_checkpointing", "per_device_eval",
)  # fmt: skip
"""Beginnings of keys that may change when a run continues: they change no step that it has taken, or are checked otherwise."""


def settings(config: TrainConfig) -> dict[str, Any]:
    """The settings that must be the same when a run continues, by dotted key, as JSON values."""
    free = (*_FREE_SECTIONS, *(f"training.{name}" for name in _FREE_TRAINING))
    flat = _flat(config.model_dump(mode="json"), "")
    return {key: value for key, value in flat if value is not None and not key.startswith(free)}


def begin(run_dir: Path) -> Path:
    """An empty folder for the next checkpoint; what an interrupted process left there is deleted."""
    aside = run_dir / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    return aside


def publish(written: Path, run_dir: Path, kept_settings: dict[str, Any]) -> Path:
    """Makes a complete checkpoint visible under its name in the run directory, after everything is on the disk.

    Raises:
        OSError: the disk refuses it; nothing is visible then.
    """
    files = sorted(path for path in written.rglob("*") if path.is_file())
    sizes = {str(path.relative_to(written)): path.stat().st_size for path in files}
    content = json.dumps({"files": sizes, "settings": kept_settings}, ensure_ascii=False, indent=1)
    (written / CONTENT).write_text(content + "\n", encoding="utf-8")
    for path in (*files, written / CONTENT, *(each for each in written.rglob("*") if each.is_dir()), written):
        sync_path(path)
    target = run_dir / written.name
    if target.exists():  # a continued run takes this step again
        os.replace(target, written.parent / f"old-{written.name}")
    os.replace(written, target)
    sync_path(run_dir)
    return target


def rotate(run_dir: Path, limit: int | None, best: str | None) -> None:
    """Deletes the oldest checkpoints above ``limit``; the newest and the best stay."""
    found = sorted(run_dir.glob("checkpoint-*"), key=lambda path: (path.stat().st_mtime_ns, _step(path)))
    if not limit or len(found) <= limit:
        return
    protected = {found[-1].name} | ({Path(best).name} if best else set())
    surplus = len(found) - max(limit, len(protected))
    aside = run_dir / ASIDE
    aside.mkdir(exist_ok=True)
    for path in [path for path in found if path.name not in protected][: max(surplus, 0)]:
        gone = aside / f"deleted-{path.name}"  # renamed first: a process killed here leaves no half checkpoint
        shutil.rmtree(gone, ignore_errors=True)
        os.replace(path, gone)
        shutil.rmtree(gone, ignore_errors=True)


def end(run_dir: Path) -> None:
    """Deletes the folder in which checkpoints are written."""
    shutil.rmtree(run_dir / ASIDE, ignore_errors=True)


def check_named(config: TrainConfig) -> None:
    """Checks the checkpoints that a configuration names. Reads file names only, so it runs before anything is loaded.

    Raises:
        InvalidValue: a checkpoint does not exist; the nearest existing one is named.
        CheckpointRejected: files that continuing needs are missing or truncated, or settings differ.
    """
    training = config.training
    named = (("tuner", config.tuner.resume_from_checkpoint), ("training", training.resume_from_checkpoint))
    for section, value in named:
        if value is not None and not (path := Path(value).expanduser()).is_dir():
            raise InvalidValue(f"{section}.resume_from_checkpoint", value, _existing(path))
    if training.resume_from_checkpoint is None:
        return
    checkpoint = Path(training.resume_from_checkpoint).expanduser()
    if training.resume_only_model:
        problems = list(_broken_files(checkpoint))
    else:
        problems = [*_missing_parts(checkpoint), *_broken_files(checkpoint), *_other_settings(checkpoint, config)]
    if problems:
        raise CheckpointRejected(checkpoint, problems)


def check_data(config: TrainConfig, checkpoint: str | None, digest: str, trained_on: str | None) -> None:
    """Checks that the training records, by their ``digest``, are those that the checkpoint was trained on.

    Raises:
        CheckpointRejected: they differ.
    """
    if checkpoint is not None and trained_on is not None and trained_on != digest:
        name = config.custom.train_jsonl or "custom.scenes"
        raise CheckpointRejected(
            Path(checkpoint), [f"the training records {name!r} differ from those of the checkpoint (SHA-256)"]
        )


def _missing_parts(checkpoint: Path) -> Iterator[str]:
    parts = {
        "the weights": _WEIGHTS,
        "the optimizer's state": _OPTIMIZER,
        "the schedule's state": _SCHEDULER,
        "the random state": _RANDOM,
        "the trainer's state": (STATE,),
    }
    for part, patterns in parts.items():
        if not any(any(checkpoint.glob(pattern)) for pattern in patterns):
            yield f"{part} is missing: {', '.join(patterns)}"
    index = checkpoint / "model.safetensors.index.json"
    if index.is_file():
        for name in sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values())):
            if not (checkpoint / name).is_file():
                yield f"{name} is missing"


def _broken_files(checkpoint: Path) -> Iterator[str]:
    for name, size in _content(checkpoint).get("files", {}).items():
        path = checkpoint / name
        found = path.stat().st_size if path.is_file() else None
        if found is None:
            yield f"{name} is missing"
        elif found != size:
            yield f"{name} has {found} bytes instead of {size}"


def _other_settings(checkpoint: Path, config: TrainConfig) -> Iterator[str]:
    before = _content(checkpoint).get("settings")
    if before is None:  # written by an earlier release
        return
    now = settings(config)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            yield f"{key} was {before.get(key)!r} and is now {now.get(key)!r}"


def _content(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / CONTENT
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CheckpointRejected(checkpoint, [f"{CONTENT} is not JSON"]) from error


def _existing(path: Path) -> str:
    """What would be valid instead of a checkpoint that does not exist."""
    parent = next(each for each in path.absolute().parents if each.is_dir())
    found = {each.name: each for each in parent.glob("*") if each.is_dir() and not each.name.startswith(".")}
    close = get_close_matches(path.name, found, n=1, cutoff=0.5)
    checkpoints = sorted((each for each in found.values() if _step(each) >= 0), key=_step)
    nearest = found[close[0]] if close else (checkpoints[-1] if checkpoints else None)
    if nearest is None:
        return f"must be the directory of a checkpoint; {str(parent)!r} has none"
    return f"must be the directory of a checkpoint; the nearest existing one is {str(nearest)!r}"


def _step(path: Path) -> int:
    number = path.name.removeprefix("checkpoint-")
    return int(number) if number.isdecimal() else -1


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
