"""Sharding changes no number: two ranks with FSDP2 or DeepSpeed learn what one process learns and write the same files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.support import ranks, tiny
from trainer.export import export
from trainer.training.arguments import training_arguments
from trainer.training.errors import UnhealthyRun
from trainer.training.run import run
from trainer.training.sharding import refuse_text_only
from vqc.errors import InvalidValue

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning:torch.*")
BOUND = 1e-5
"""How far apart a weight of two equal runs may be after four steps."""
ADAM_EPSILON = 1e-5
"""AdamW's first steps move a weight by lr · g / (|g| + epsilon). With the usual 1e-8, two sums of a tiny gradient g that differ
in their last bits (one rank adds up what two ranks add up apart) move a weight up to 1e-5 apart: as far as ``BOUND``,
which then held for some photos and not for others. With 1e-5 they stay within 3e-7, and a real fault (losses averaged per
rank, not per token) still moves them 2e-3 apart."""
OPTIONS: dict[str, Any] = {
    "max_steps": 4, "learning_rate": 1e-3, "adam_epsilon": ADAM_EPSILON, "save_strategy": "steps", "save_steps": 2,
    "eval_strategy": "steps", "eval_steps": 4, "per_device_train_batch_size": 2,
}  # fmt: skip
TUNERS: dict[str, dict[str, Any]] = {"full": {"tuner_type": "full", "freeze_vit": False}, "lora": {}}
FEW_AT_ONCE = "tests.support.few_at_once"
"""A command line under which ranks, with batches of different sizes, need the head a different number of times."""
OF_THE_OPTIMIZER = {"optimizer.pt", "optimizer.bin", "pytorch_model_fsdp.bin", "rng_state.pth", "rng_state_0.pth"}
OF_THE_OPTIMIZER |= {"rng_state_1.pth", "latest", "zero_to_fp32.py", "zero_to_torch.py", "global_step4"}


@pytest.fixture(scope="module", params=list(TUNERS))
def one(
    request: pytest.FixtureRequest, checkpoint: Path, jsonl: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("one") / str(request.param)
    run(tiny.config(checkpoint, jsonl, out, tuner=TUNERS[out.name], gradient_accumulation_steps=2, **OPTIONS))
    (path,) = (out / "checkpoint-4").glob("*model.safetensors")
    before, after = load_file(out / "checkpoint-2" / path.name), load_file(path)
    assert max((after[name] - before[name]).abs().max() for name in after) > 100 * BOUND, "there is nothing to compare"
    return out


def assert_equal_runs(two: Path, one: Path, checkpoint: str = "checkpoint-4") -> None:
    for key in ("train/loss", "eval/loss"):
        assert tiny.log(two, key) == pytest.approx(tiny.log(one, key)[-len(tiny.log(two, key)) :], abs=5e-6)
    files = [{path.name for path in (run / checkpoint).iterdir()} - OF_THE_OPTIMIZER for run in (two, one)]
    assert files[0] == files[1]
    (weights,) = (name for name in files[0] if name.endswith(".safetensors"))
    sharded, whole = (load_file(run / checkpoint / weights) for run in (two, one))
    assert sharded.keys() == whole.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(sharded[name], tensor, atol=BOUND, rtol=0, msg=name)


def test_fsdp2_on_two_ranks_equals_one_process(checkpoint: Path, jsonl: Path, one: Path, tmp_path: Path):
    two = tmp_path / "two"
    config = tiny.config(checkpoint, jsonl, two, tuner=TUNERS[one.name], fsdp="fsdp2", **OPTIONS)
    ranks.run_in_two(config, tmp_path, FEW_AT_ONCE)
    assert (two / "checkpoint-4/pytorch_model_fsdp.bin").exists(), "it was no sharded run"
    assert_equal_runs(two, one)
    models = [
        load_file(export(run / "checkpoint-4", tmp_path / name) / "model.safetensors")
        for run, name in ((two, "a"), (one, "b"))
    ]
    assert models[0].keys() == models[1].keys()
    for name, tensor in models[1].items():
        torch.testing.assert_close(models[0][name], tensor, atol=2e-3, rtol=1e-2, msg=name)
    if one.name == "full":
        again = tmp_path / "again"
        resume: dict[str, Any] = {"resume_from_checkpoint": str(two / "checkpoint-2")}
        ranks.run_in_two(
            tiny.config(checkpoint, jsonl, again, tuner=TUNERS[one.name], fsdp="fsdp2", **OPTIONS, **resume), tmp_path
        )
        assert len(tiny.log(again)) == 2
        assert_equal_runs(again, one)


@pytest.mark.skipif(
    find_spec("deepspeed") is None, reason="deepspeed is not installed (CONTRIBUTING says how to run this)"
)
@pytest.mark.parametrize(
    ("stage", "command_line"),
    [("zero2", "trainer.cli"), ("zero3", "trainer.cli"), ("zero3", FEW_AT_ONCE)],
    ids=["zero2", "zero3", "zero3-head-called-often"],
)
def test_deepspeed_on_two_ranks_equals_one_process(
    checkpoint: Path,
    jsonl: Path,
    one: Path,
    tmp_path: Path,
    stage: str,
    command_line: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    config = tiny.config(checkpoint, jsonl, tmp_path / "two", tuner=TUNERS[one.name], **OPTIONS)
    sharded = {"deepspeed": {"enabled": True, "config": stage}}
    ranks.run_in_two(type(config).model_validate(config.model_dump() | sharded), tmp_path, command_line)
    assert (tmp_path / "two/checkpoint-4/global_step4").is_dir(), "it was no sharded run"
    assert_equal_runs(tmp_path / "two", one)


def test_what_cannot_be_sharded_is_refused(
    checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plain = tiny.config(checkpoint, jsonl, tmp_path)
    fsdp = tiny.config(checkpoint, jsonl, tmp_path, fsdp="fsdp2")
    zero = type(plain).model_validate(plain.model_dump() | {"deepspeed": {"enabled": True, "config": "zero3"}})
    monkeypatch.setattr("trainer.training.sharding.find_spec", lambda name: None)
    with pytest.raises(InvalidValue, match="pip install deepspeed"):
        training_arguments(zero)
    monkeypatch.setattr("trainer.training.sharding.find_spec", lambda name: name)
    for config in (fsdp, zero):
        with pytest.raises(InvalidValue, match="torchrun"):
            training_arguments(config)
        with pytest.raises(UnhealthyRun, match="1 of 3 samples have no photo"):
            refuse_text_only(config, np.array([1, 0, 2]))
    refuse_text_only(plain, np.array([1, 0, 2]))
    monkeypatch.setenv("LOCAL_RANK", "0")
    with monkeypatch.context() as older:
        older.setattr(torch, "__version__", "2.12.1")
        with pytest.raises(InvalidValue, match=r"PyTorch 2\.13"):
            training_arguments(fsdp)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(InvalidValue, match="ACCELERATE_USE_CPU"):
        training_arguments(zero)
