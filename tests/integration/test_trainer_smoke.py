"""The smoke recipe from its YAML to an exported, evaluated model, as a user would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from vqc.contract import contract_digests

ROOT = Path(__file__).parents[2]


def vqc_train(*arguments: object) -> str:
    """Standard output of ``vqc-train`` with these arguments."""
    done = subprocess.run(
        [sys.executable, "-m", "trainer.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_from_yaml_to_an_evaluated_model(tmp_path: Path):
    recipe = tmp_path / "smoke.yaml"
    recipe.write_text(
        f"extends: {ROOT / 'configs/smoke.yaml'}\ntraining: {{output_dir: {tmp_path / 'run'}}}\n", encoding="utf-8"
    )
    result = json.loads(vqc_train("run", recipe, "--debug", "--json"))
    assert result["steps"] == 6
    checkpoint = Path(result["checkpoint"])
    lines = [json.loads(line) for line in (tmp_path / "run/logging.jsonl").read_text("utf-8").splitlines()]
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert losses[-1] < losses[0]
    assert "<|image_pad|>*" in (tmp_path / "run/conversation_text.txt").read_text("utf-8")

    model = Path(vqc_train("export", checkpoint, tmp_path / "model").strip())
    manifest = json.loads((model / "vqc_manifest.json").read_text("utf-8"))
    assert contract_digests().items() <= manifest["contract"].items()
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "preprocessor_config.json",
            "generation_config.json"} <= {path.name for path in model.iterdir()}  # fmt: skip

    data = tmp_path / "run/scenes/val/data.jsonl"
    report = json.loads(
        vqc_train("evaluate", model, "--data", data, "--max-new-tokens", 16, "--report", tmp_path / "report", "--json")
    )
    assert {"f1_50_box", "f1_50_line", "malformed", "stage_a_recall", "num_images", "verdict_accuracy"} <= set(report)
    assert report["num_images"] == 2
    assert (tmp_path / "report/report.html").stat().st_size > 1000
