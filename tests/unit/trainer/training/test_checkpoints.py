"""Checkpoints that are complete or do not exist, and runs that continue from them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import tiny
from trainer.model.network import Qwen3VLForConditionalGeneration as Network
from trainer.training import checkpoints
from trainer.training.errors import CheckpointNotWritten, CheckpointRejected, LossDiverged
from trainer.training.run import build_trainer, run
from vqc.errors import InvalidValue

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:torch.*", "ignore:.*:DeprecationWarning")

OPTIONS: dict[str, Any] = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.glob("*checkpoint-*"))


@pytest.fixture(scope="module")
def trained(checkpoint: Path, jsonl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    run(tiny.config(checkpoint, jsonl, out, **OPTIONS))
    return out


@pytest.fixture
def saved(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained / "checkpoint-1", tmp_path / "saved/checkpoint-1")


class Killed(BaseException):
    """The process ends here, as with kill -9: nothing after it runs but what the test excuses."""


@pytest.mark.parametrize("place", ["_save_optimizer_and_scheduler", "_save_rng_state", "_publish", "_save"])
def test_a_run_killed_while_it_saves_leaves_no_half_checkpoint(
    checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch, place: str
):
    from trainer.training.run_trainer import RunTrainer

    plain = getattr(RunTrainer, place)

    def killed(self, *args, **kwargs):
        if self.state.global_step == 2:
            raise Killed
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(RunTrainer, place, killed)
    monkeypatch.setattr(checkpoints, "end", lambda run_dir: None)
    with pytest.raises(Killed):
        run(tiny.config(checkpoint, jsonl, tmp_path, **OPTIONS))
    assert names(tmp_path) == ["checkpoint-1"]
    monkeypatch.undo()
    again = tiny.config(checkpoint, jsonl, tmp_path, resume_from_checkpoint=str(tmp_path / "checkpoint-1"), **OPTIONS)
    assert run(again).checkpoint == tmp_path / "checkpoint-2"
    assert not (tmp_path / checkpoints.ASIDE).exists()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed writing file")]
)
def test_a_full_disk_leaves_the_earlier_checkpoint_and_says_what_to_do(
    checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch, error: Exception
):
    plain = torch.save

    def full(value: Any, *args: Any, **kwargs: Any) -> None:
        if (tmp_path / "checkpoint-1").exists():
            raise error
        plain(value, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointNotWritten, match="step 2 could not be written.*free disk space"):
        run(tiny.config(checkpoint, jsonl, tmp_path, **{**OPTIONS, "save_total_limit": 1}))
    assert names(tmp_path) == ["checkpoint-1"]
    assert not (tmp_path / checkpoints.ASIDE).exists()


def test_a_checkpoint_killed_while_it_is_deleted_is_gone_as_a_whole(tmp_path: Path, monkeypatch):
    for step in (1, 2, 3):
        (tmp_path / f"checkpoint-{step}").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        checkpoints.rotate(tmp_path, 1, str(tmp_path / "checkpoint-2"))
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-3"]
    checkpoints.begin(tmp_path)
    assert not any((tmp_path / checkpoints.ASIDE).iterdir())


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "adapter_model.safetensors"]
)
@pytest.mark.parametrize("old", [False, True], ids=["", "old"])
def test_a_missing_file_is_named_before_anything_is_loaded(
    checkpoint: Path, jsonl: Path, saved: Path, tmp_path: Path, name: str, old: bool
):
    (saved / name).unlink()
    if old:
        (saved / checkpoints.CONTENT).unlink()
    with pytest.raises(CheckpointRejected, match=name.replace("rng_state", "rng_state.*")):
        build_trainer(tiny.config(checkpoint, jsonl, tmp_path, resume_from_checkpoint=str(saved), **OPTIONS))


def test_a_truncated_file_is_named(checkpoint: Path, jsonl: Path, saved: Path, tmp_path: Path):
    path = saved / "optimizer.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointRejected, match="optimizer.pt has 100 bytes instead of"):
        build_trainer(tiny.config(checkpoint, jsonl, tmp_path, resume_from_checkpoint=str(saved), **OPTIONS))


def test_other_settings_are_named_and_longer_runs_are_allowed(
    checkpoint: Path, jsonl: Path, saved: Path, tmp_path: Path
):
    resume = {**OPTIONS, "resume_from_checkpoint": str(saved)}
    longer = {"max_steps": 9, "save_steps": 3, "logging_steps": 5}
    checkpoints.check_named(tiny.config(checkpoint, jsonl, tmp_path, **{**resume, **longer}))
    with pytest.raises(CheckpointRejected, match="training.learning_rate was 0.01 and is now 0.5"):
        checkpoints.check_named(tiny.config(checkpoint, jsonl, tmp_path, **{**resume, "learning_rate": 0.5}))
    with pytest.raises(CheckpointRejected, match="tuner.lora_rank was 4 and is now 6"):
        checkpoints.check_named(tiny.config(checkpoint, jsonl, tmp_path, tuner={"lora_rank": 6}, **resume))
    only = {"resume_only_model": True, "learning_rate": 0.5}
    checkpoints.check_named(tiny.config(checkpoint, jsonl, tmp_path, **{**resume, **only}))


def test_other_records_are_rejected(checkpoint: Path, saved: Path, tmp_path: Path):
    other = tiny.data(tmp_path / "other", 4, seed=5)
    with pytest.raises(CheckpointRejected, match="training records .*differ"):
        build_trainer(tiny.config(checkpoint, other, tmp_path, resume_from_checkpoint=str(saved), **OPTIONS))


@pytest.mark.parametrize("section", ["tuner", "training"])
def test_a_checkpoint_that_does_not_exist_is_rejected_with_the_nearest(
    checkpoint: Path, jsonl: Path, saved: Path, tmp_path: Path, section: str
):
    gone = {"resume_from_checkpoint": str(saved.parent / "checkpoint-10")}
    config = tiny.config(
        checkpoint,
        jsonl,
        tmp_path,
        tuner=gone if section == "tuner" else None,
        **(gone if section == "training" else {}),
    )
    with pytest.raises(
        InvalidValue, match=f"{section}.resume_from_checkpoint.*nearest existing one is .*checkpoint-1'"
    ):
        checkpoints.check_named(config)


def test_a_loss_that_is_no_number_between_two_logs_saves_and_deletes_nothing(
    checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch
):
    plain, calls = Network.forward, []

    def diverging(self, *args, **kwargs):
        output = plain(self, *args, **kwargs)
        calls.append(0)
        if len(calls) > 1:
            output["loss"] = output["loss"] * float("nan")
        return output

    monkeypatch.setattr(Network, "forward", diverging)
    options = {**OPTIONS, "max_steps": 6, "logging_steps": 50, "logging_first_step": False, "save_total_limit": 1}
    with pytest.raises(LossDiverged):
        run(tiny.config(checkpoint, jsonl, tmp_path, **options))
    assert names(tmp_path) == ["checkpoint-1"]
    content = json.loads((tmp_path / "checkpoint-1" / checkpoints.CONTENT).read_text("utf-8"))
    assert "adapter_model.safetensors" in content["files"]
