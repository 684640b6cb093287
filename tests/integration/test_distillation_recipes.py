"""The distillation recipes as they are shipped, run on a tiny model and a few drawn photos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support import tiny
from trainer.cli import main
from trainer.config import load_config
from trainer.model import tuners

ROOT = Path(__file__).parents[2]
PARTS = {"train/loss", "train/sft_loss", "train/token_acc", "train/llm_kd_loss", "eval/loss", "eval/sft_loss"}
RECIPES = ["stage_2_llm_lora_gkd", "stage_3_gkd", "stage_3_gkd_visual", "forward_only"]
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning:torch.*")

SMALL = """\
extends: {recipe}
model: {{model: {model}, torch_dtype: float32}}
global_max_length: 1024
tuner: {{resume_from_checkpoint: null}}
training:
  output_dir: {out}
  max_steps: 3
  num_train_epochs: null
  learning_rate: 1e-3
  gradient_accumulation_steps: 1
  logging_steps: 1
  eval_steps: 3
  save_steps: 3
  dataloader_num_workers: 0
  dataloader_pin_memory: false
custom: {{train_jsonl: {data}, val_jsonl: {data}}}
"""
LAYERS = """\
tuner:
  target_regex: 'model\\.language_model\\.layers\\.1\\..*_proj|model\\.visual\\.blocks\\.2\\.(attn|mlp)\\..*(qkv|proj|fc[12])'
  modules_to_save: [model.visual.merger, model.visual.deepstack_merger_list.0, model.visual.deepstack_merger_list.1]
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("recipes") / "tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.data(tmp_path_factory.mktemp("recipes_data") / "photos", 6)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_dry_runs_runs_and_logs_its_parts(name: str, model: Path, data: Path, tmp_path: Path):
    shipped = load_config(ROOT / f"configs/{name}.yaml")
    assert shipped.rlhf is not None
    small = SMALL.format(recipe=ROOT / f"configs/{name}.yaml", model=model, out=tmp_path / "run", data=data)
    small = small.replace("tuner: {resume_from_checkpoint: null}\n", LAYERS) if "stage_3" in name else small
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"{small}rlhf: {{teacher_model: {model}, max_completion_length: 8}}\n", encoding="utf-8")
    dry = CliRunner().invoke(main, ["run", str(recipe), "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "rlhf_type: gkd" in dry.output
    done = CliRunner().invoke(main, ["run", str(recipe)])
    assert done.exit_code == 0, (done.output, done.exception)
    lines = [json.loads(line) for line in (tmp_path / "run/logging.jsonl").read_text("utf-8").splitlines()]
    names = {key for line in lines for key in line}
    assert names >= PARTS
    assert ("train/vision_kd_loss" in names) == (name == "stage_3_gkd_visual")
    assert not {"eval/llm_kd_loss", "eval/vision_kd_loss"} & names
    assert (tmp_path / "run/checkpoint-3" / tuners.ADAPTER_FILE).exists()


def test_the_documents_overlay_leaves_the_visual_term_alone(model: Path, data: Path, tmp_path: Path):
    """The reference document's example: llm_kd_weight 0 over a GKD recipe, visual KD kept."""
    small = SMALL.format(recipe=ROOT / "configs/forward_only.yaml", model=model, out=tmp_path / "run", data=data)
    overlay = small.replace(
        "custom: {", "custom: {visual_kd: {enabled: true, weight: 0.1, targets: [merger, deepstack]}, "
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"{overlay}rlhf: {{teacher_model: {model}, llm_kd_weight: 0.0}}\n", encoding="utf-8")
    done = CliRunner().invoke(main, ["run", str(recipe)])
    assert done.exit_code == 0, (done.output, done.exception)
    lines = [json.loads(line) for line in (tmp_path / "run/logging.jsonl").read_text("utf-8").splitlines()]
    parts = [line for line in lines if "train/loss" in line]
    assert all("train/llm_kd_loss" not in line for line in parts)
    last = parts[-1]
    assert last["train/loss"] == pytest.approx(last["train/sft_loss"] + last["train/vision_kd_loss"], rel=1e-6)
