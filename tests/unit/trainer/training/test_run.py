"""Whole runs on the smallest model."""

import json
import multiprocessing
from pathlib import Path

import pytest

from tests.support import tiny
from trainer.data import DataError
from trainer.export import ContractChanged, export
from trainer.model import tuners
from trainer.training.errors import LossDiverged, OutOfMemory
from trainer.training.run import run
from vqc.errors import InvalidValue

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:torch.*", "ignore:.*:DeprecationWarning")


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in out.glob("checkpoint-*"))


def test_a_run_learns_and_says_so(checkpoint: Path, jsonl: Path, tmp_path: Path):
    options = {"max_steps": 12, "eval_strategy": "steps", "eval_steps": 12, "report_to": ["tensorboard"]}
    tuner = {"tuner_type": "full", "freeze_vit": False}
    result = run(tiny.config(checkpoint, jsonl, tmp_path, tuner=tuner, learning_rate=3e-3, **options))
    losses = tiny.log(tmp_path)
    assert result.steps == 12
    assert losses[-1] < losses[0] - 0.5
    lines = [json.loads(line) for line in (tmp_path / "logging.jsonl").read_text("utf-8").splitlines()]
    names = {name for line in lines for name in line}
    assert {"train/loss", "train/sft_loss", "train/token_acc", "train/grad_norm", "train/lr_vit", "train/samples_per_s",
            "train/tokens_per_s", "eval/loss", "eval/token_acc"} <= names  # fmt: skip
    assert not any(name.count("/") > 1 or name.startswith(("train_", "eval_")) for name in names)
    assert list((tmp_path / "tensorboard").iterdir())


def test_epochs_are_passes_over_the_data(checkpoint: Path, jsonl: Path, tmp_path: Path):
    photos = len(jsonl.read_text("utf-8").splitlines())
    options = {"max_steps": None, "num_train_epochs": 1.5, "per_device_train_batch_size": photos // 4}
    assert run(tiny.config(checkpoint, jsonl, tmp_path, **options)).steps == 6


def test_saves_are_delayed_limited_and_end_with_the_last_step(checkpoint: Path, jsonl: Path, tmp_path: Path):
    options = {"max_steps": 7, "save_strategy": "steps", "save_steps": 2, "save_total_limit": 1, "save_delay_steps": 4}
    run(tiny.config(checkpoint, jsonl, tmp_path, **options))
    assert checkpoints(tmp_path) == ["checkpoint-6", "checkpoint-7"]
    written = {path.name for path in (tmp_path / "checkpoint-7").iterdir()}
    assert {"adapter_model.safetensors", "tokenizer.json", "preprocessor_config.json", "vqc_training.json"} <= written
    assert (tmp_path / "config.yaml").exists()


def test_the_best_checkpoint_is_kept_and_counts_after_the_delay(checkpoint: Path, jsonl: Path, tmp_path: Path):
    options = {"max_steps": 6, "save_strategy": "best", "metric_for_best_model": "eval_loss", "eval_strategy": "steps"}
    options |= {"eval_steps": 2, "save_delay_steps": 3, "learning_rate": 1e-3, "save_last_epoch": False}
    result = run(tiny.config(checkpoint, jsonl, tmp_path, **options))
    assert checkpoints(tmp_path) == ["checkpoint-4", "checkpoint-6"]
    assert result.best == tmp_path / "checkpoint-6"


def test_two_stages(checkpoint: Path, jsonl: Path, tmp_path: Path):
    first = run(
        tiny.config(checkpoint, jsonl, tmp_path / "1", tuner={"freeze_llm": True}, max_steps=2, save_strategy="steps")
    )
    assert first.checkpoint is not None
    second = {"resume_from_checkpoint": str(first.checkpoint)}
    result = run(tiny.config(checkpoint, jsonl, tmp_path / "2", tuner=second, max_steps=2, save_strategy="steps"))
    assert result.checkpoint is not None
    weights = json.loads((result.checkpoint / tuners.ADAPTER_FILE).read_text("utf-8"))
    assert "language_model" in weights["target_modules"]
    assert tiny.log(tmp_path / "2")[0] < tiny.log(tmp_path / "1")[0]


def test_an_adapter_stage_on_a_full_one_and_its_export(checkpoint: Path, jsonl: Path, tmp_path: Path):
    full = {"tuner_type": "full", "freeze_llm": True}
    first = run(tiny.config(checkpoint, jsonl, tmp_path / "1", tuner=full, max_steps=2, save_strategy="steps"))
    second = {"resume_from_checkpoint": str(first.checkpoint)}
    result = run(tiny.config(checkpoint, jsonl, tmp_path / "2", tuner=second, max_steps=1, save_strategy="steps"))
    assert first.checkpoint is not None
    assert result.checkpoint is not None
    config = json.loads((result.checkpoint / tuners.ADAPTER_FILE).read_text("utf-8"))
    assert config["base_model_name_or_path"] == str(first.checkpoint)
    assert (export(result.checkpoint, tmp_path / "out") / "vqc_manifest.json").exists()
    first.checkpoint.rename(tmp_path / "gone")
    with pytest.raises(InvalidValue, match="the adapter's base does not exist"):
        export(result.checkpoint, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_another_contract_is_not_exported(checkpoint: Path, jsonl: Path, tmp_path: Path):
    result = run(tiny.config(checkpoint, jsonl, tmp_path / "run", max_steps=1, save_strategy="steps"))
    assert result.checkpoint is not None
    path = result.checkpoint / "vqc_training.json"
    said = json.loads(path.read_text("utf-8"))
    said["contract"]["prompts/telecom"] = "other"
    path.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(ContractChanged, match="another prompts"):
        export(result.checkpoint, tmp_path / "out")


def test_adalora_moves_rank(checkpoint: Path, jsonl: Path, tmp_path: Path):
    tuner = {"tuner_type": "adalora", "adalora_init_r": 4, "adalora_target_r": 2}
    run(tiny.config(checkpoint, jsonl, tmp_path, tuner=tuner, max_steps=4))
    assert len(tiny.log(tmp_path)) == 4


def test_gradient_checkpointing_changes_no_number(checkpoint: Path, jsonl: Path, tmp_path: Path):
    tuner = {"tuner_type": "full", "freeze_vit": False}
    for name, on in (("a", True), ("b", False)):
        run(
            tiny.config(
                checkpoint, jsonl, tmp_path / name, tuner=tuner, max_steps=3, learning_rate=1e-3,
                gradient_checkpointing=on,
            )
        )  # fmt: skip
    assert tiny.log(tmp_path / "a") == pytest.approx(tiny.log(tmp_path / "b"), abs=1e-6)


def test_divergence_is_explained(checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch):
    from trainer.model.network import Qwen3VLForConditionalGeneration as Network

    plain = Network.forward

    def diverging(self, *args, **kwargs):
        output = plain(self, *args, **kwargs)
        output["loss"] = output["loss"] * float("nan")
        return output

    monkeypatch.setattr(Network, "forward", diverging)
    with pytest.raises(LossDiverged):
        run(tiny.config(checkpoint, jsonl, tmp_path))


def test_running_out_of_memory_is_explained(checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch):
    import torch

    from trainer.model.network import Qwen3VLForConditionalGeneration as Network

    def full(self, *args, **kwargs):
        raise torch.OutOfMemoryError("Tried to allocate 20 GiB")

    monkeypatch.setattr(Network, "forward", full)
    with pytest.raises(OutOfMemory, match="per_device_train_batch_size"):
        run(tiny.config(checkpoint, jsonl, tmp_path))


def test_broken_records_stop_the_run_before_the_model_is_loaded(checkpoint: Path, tmp_path: Path):
    path = tiny.data(tmp_path / "data", 2)
    path.write_text(path.read_text("utf-8") + "{broken\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"data\.jsonl:3: json"):
        run(tiny.config(checkpoint, path, tmp_path / "out"))


def test_loading_processes_change_no_number(checkpoint: Path, jsonl: Path, tmp_path: Path):
    packing = {"packing": True, "per_device_train_batch_size": 1, "max_steps": 10, "longest": 500}
    for name, workers in (("a", 0), ("b", 2)):
        persistent = {"dataloader_persistent_workers": bool(workers), "dataloader_num_workers": workers}
        run(tiny.config(checkpoint, jsonl, tmp_path / name, learning_rate=1e-3, **packing, **persistent))
        assert not multiprocessing.active_children()
    assert tiny.log(tmp_path / "a") == tiny.log(tmp_path / "b")
