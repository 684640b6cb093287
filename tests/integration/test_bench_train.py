"""``vqc-bench train`` on the tiny model. Nothing here asserts on time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from loadtest.errors import BenchFailed
from loadtest.suites.train import VARIANTS, TrainPlan, measure, train_config
from trainer.config import load_config

SMALL = TrainPlan(
    model="tiny", photos=6, size_wh=(256, 192), steps=2, warmup=1, batch_size=2, row_tokens=1024, lora_rank=4, workers=0
)


def test_variants_have_a_row_each(tmp_path: Path) -> None:
    options = ["--rounds", "1", "--steps", "2", "--warmup", "1", "--photos", "6", "--width", "256", "--height", "192"]
    options += ["--batch-size", "2", "--row-tokens", "1024", "--workers", "0", "--work", str(tmp_path), "--json"]
    words = [sys.executable, "-m", "loadtest", "train", "--variant", "sft", "--variant", "gkd+packing", *options]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)
    assert [row["variant"] for row in rows] == ["sft", "gkd+packing"]
    for row in rows:
        assert row["mfu"] is None, "a CPU has no peak to compare with"
        assert row["device"] == "CPU"
        assert min(row[name] for name in ("step_ms", "samples_per_s", "tokens_per_s", "tflops_per_s")) > 0
        assert row["step_p10_ms"] <= row["step_ms"] <= row["step_p90_ms"]
        assert row["peak_memory_gib"] > 0.05


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_is_a_valid_run_of_the_trainer(variant, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(train_config(tmp_path, SMALL, variant)), "utf-8")
    loaded = load_config(path)
    assert (loaded.rlhf is not None) == variant.gkd
    assert loaded.training.packing == variant.packing
    assert loaded.training.gradient_checkpointing == variant.recompute
    assert loaded.training.use_liger_kernel == variant.liger


def test_a_run_that_fails_is_reported_with_its_last_words(tmp_path: Path) -> None:
    broken = TrainPlan(
        **{name: getattr(SMALL, name) for name in SMALL.__slots__} | {"model": str(tmp_path / "nowhere")}
    )
    with pytest.raises(BenchFailed, match="sft failed"):
        measure(tmp_path, broken, VARIANTS[:1], rounds=1, progress=print)


def test_named_records_are_trained_on_and_the_end_of_the_run_is_profiled(tmp_path: Path) -> None:
    from tests.support import tiny

    plan = TrainPlan(
        **{name: getattr(SMALL, name) for name in SMALL.__slots__} | {"data": tiny.data(tmp_path / "data", 6)}
    )
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(train_config(tmp_path, plan, VARIANTS[0])), "utf-8")
    words = [sys.executable, "-m", "trainer.training.measure", str(path), str(path), "--warmup", "1"]
    plain = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300).stdout
    assert [json.loads(line)["steps"] for line in plain.splitlines()] == [2, 2]
    refused = subprocess.run([*words, "--profile"], capture_output=True, text=True, check=False, timeout=300)
    assert "steps leave none to measure" in refused.stderr
    assert "aten::" in (tmp_path / "train.profile.txt").read_text("utf-8")
