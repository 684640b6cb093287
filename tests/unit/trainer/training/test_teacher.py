"""Where the teacher comes from, when it is asked, and what is kept of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from registry import open_registry
from tests.support import tiny
from trainer.config import TrainConfig, config_from
from trainer.training import teacher
from trainer.training.run import build_trainer, run
from trainer.training.teacher import AdapterOffTeacher, CopiedTeacher
from vqc.errors import InvalidValue

GKD: dict[str, Any] = {"rlhf_type": "gkd", "beta": 0.1}
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning:torch.*")


def config(model: Path, jsonl: Path, out: Path, rlhf: dict[str, Any], **rest: Any) -> TrainConfig:
    tree = tiny.config(model, jsonl, out, **{"learning_rate": 1e-3, **rest}).model_dump(exclude_unset=True)
    return config_from({**tree, "rlhf": rlhf})


def test_a_teacher_is_a_directory_or_a_version_of_the_registry(
    checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    registry = open_registry(tmp_path / "registry")
    digest = registry.push(checkpoint, alias="champion").digest
    monkeypatch.setenv("VQC_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("VQC_MODEL_CACHE", str(tmp_path / "cache"))

    def found(named: str | None) -> Path:
        rlhf = GKD if named is None else {**GKD, "teacher_model": named}
        return teacher.teacher_directory(config(checkpoint, jsonl, tmp_path, rlhf), str(checkpoint))

    assert found(None) == checkpoint
    assert found(str(checkpoint)) == checkpoint
    for named in ("champion", digest):
        assert (found(named) / "model.safetensors").read_bytes() == (checkpoint / "model.safetensors").read_bytes()
    for named in ("nobody", "some/where"):
        with pytest.raises(InvalidValue, match=r"rlhf\.teacher_model"):
            found(named)


@pytest.mark.parametrize(
    ("tuner", "kind", "shares_trunk"),
    [
        ({}, AdapterOffTeacher, True),
        ({"lora_bias": "all"}, CopiedTeacher, False),
        ({"init_weights": "pissa"}, CopiedTeacher, True),
        ({"tuner_type": "full"}, CopiedTeacher, True),
    ],
    ids=["lora", "biases", "pissa", "full"],
)
def test_a_copy_is_loaded_only_where_the_base_is_not_left_under_the_adapter(
    checkpoint: Path, jsonl: Path, tmp_path: Path, tuner: dict[str, Any], kind: type, shares_trunk: bool
):
    trainer = build_trainer(config(checkpoint, jsonl, tmp_path, GKD, tuner=tuner))
    assert trainer._distiller is not None
    chosen = trainer._distiller._teacher
    assert type(chosen) is kind
    assert chosen.shares_trunk is shares_trunk


def test_a_teacher_of_other_tokens_is_refused(checkpoint: Path, jsonl: Path, tmp_path: Path):
    other = shutil.copytree(checkpoint, tmp_path / "other")
    said = json.loads((other / "tokenizer.json").read_text("utf-8"))
    vocabulary = said["model"]["vocab"]
    first, second = list(vocabulary)[:2]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(InvalidValue, match="the student's vocabulary; 2 tokens differ"):
        build_trainer(config(checkpoint, jsonl, tmp_path / "run", {**GKD, "teacher_model": str(other)}))


def test_evaluation_asks_no_teacher(checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    run_teacher = AdapterOffTeacher.run

    def counted(self: AdapterOffTeacher, *arguments: Any) -> Any:
        asked.append(1)
        return run_teacher(self, *arguments)

    monkeypatch.setattr(AdapterOffTeacher, "run", counted)
    run(config(checkpoint, jsonl, tmp_path, GKD, max_steps=2, eval_strategy="steps", eval_steps=1))
    assert len(asked) == 2
    assert tiny.log(tmp_path, "eval/loss") == tiny.log(tmp_path, "eval/sft_loss")
    assert tiny.log(tmp_path, "eval/llm_kd_loss") == []


def test_what_a_cached_teacher_said_is_not_asked_again_and_changes_no_number(
    checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rlhf = {**GKD, "temperature": 2.0, "teacher_cache": {"path": str(tmp_path / "cache"), "top_k": 16}}
    options: dict[str, Any] = {"max_steps": 8, "per_device_train_batch_size": 4}
    run(config(checkpoint, jsonl, tmp_path / "a", rlhf, **options))

    def never(*_: Any) -> Any:
        raise AssertionError("the teacher was asked")

    monkeypatch.setattr(AdapterOffTeacher, "run", never)
    run(config(checkpoint, jsonl, tmp_path / "b", rlhf, **options, packing=False))
    kept, whole = tiny.log(tmp_path / "a", "train/llm_kd_loss"), tiny.log(tmp_path / "b", "train/llm_kd_loss")
    assert kept[0] == pytest.approx(0, abs=1e-9)
    assert kept[-1] > 0
    assert kept == pytest.approx(whole, abs=1e-9)
    assert tiny.log(tmp_path / "a") == pytest.approx(tiny.log(tmp_path / "b"), abs=1e-6)
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 16
    with pytest.raises(AssertionError, match="the teacher was asked"):
        run(config(checkpoint, jsonl, tmp_path / "c", {**rlhf, "temperature": 1.0}, max_steps=1))


def test_steps_on_the_students_own_answers_have_no_cross_entropy(checkpoint: Path, jsonl: Path, tmp_path: Path):
    rlhf = {**GKD, "lmbda": 1.0, "max_completion_length": 5}
    run(config(checkpoint, jsonl, tmp_path, rlhf, max_steps=2))
    assert tiny.log(tmp_path, "train/sft_loss") == tiny.log(tmp_path, "train/token_acc") == []
    assert tiny.log(tmp_path) == pytest.approx(tiny.log(tmp_path, "train/llm_kd_loss"), rel=1e-6)
    assert tiny.log(tmp_path)[0] == 0
