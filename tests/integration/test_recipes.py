"""The recipes as they are shipped, run on a tiny model and a few drawn photos: each trains exactly what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from tests.support import tiny
from trainer.cli import main
from trainer.training.run import run

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*:DeprecationWarning",
    "ignore:.*:UserWarning:torch.*",
    "ignore:Failed to load the CUDA extension",  # BOFT's; it goes on in PyTorch
    "ignore:Setting boft_n_butterfly_factor to 1",  # peft says so of its own default
    "ignore:.*invalid shape",  # AdaLoRA prunes a module to rank 0
    "ignore:The following rank_pattern keys did not match",  # peft resizes by them a moment later
)
SMALL = """\
extends: {recipe}
model: {{model: {model}, torch_dtype: float32}}
global_max_length: 1024
training:
  output_dir: {out}
  max_steps: 2
  num_train_epochs: null
  gradient_accumulation_steps: 1
  logging_steps: 1
  eval_steps: 2
  save_steps: 2
  dataloader_num_workers: 0
  dataloader_pin_memory: false
  {training}
custom: {{train_jsonl: {data}, val_jsonl: {data}}}
tuner: {{{tuner}}}
"""
"""What a recipe for the 4B model changes to run here."""
MODULES = (
    "modules_to_save: [model.visual.merger, model.visual.deepstack_merger_list.0, model.visual.deepstack_merger_list.1]"
)
ALIGNERS = {  # recipe: what the tiny model needs otherwise, kind of adapter (None: none)
    "stage_1_aligner": ("", "LORA"),
    "aligner_playbook": (MODULES, None),
    "aligner_dora": ("", "LORA"),
    "aligner_adalora": ("adalora_tinit: 0, adalora_tfinal: 0, adalora_deltaT: 1", "ADALORA"),
    "aligner_boft": ("", "BOFT"),
    "aligner_fourierft": ("fourier_n_frequency: 50", "FOURIERFT"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("recipes") / "tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.data(tmp_path_factory.mktemp("recipes_data") / "photos", 6)


def run_small(recipe: str, model: Path, data: Path, directory: Path, *, tuner: str = "", training: str = "") -> Path:
    """The last checkpoint of a shipped recipe, run small by the command."""
    out = directory / recipe
    text = SMALL.format(
        recipe=ROOT / f"configs/{recipe}.yaml", model=model, data=data, out=out, tuner=tuner, training=training
    )
    path = directory / f"{recipe}.yaml"
    path.write_text(text, encoding="utf-8")
    dry = CliRunner().invoke(main, ["run", str(path), "--dry-run"])
    assert dry.exit_code == 0, dry.output
    done = CliRunner().invoke(main, ["run", str(path), "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 2
    return out / "checkpoint-2"


def changed(checkpoint: Path, model: Path, out: Path) -> set[str]:
    """The weights of the exported checkpoint that are not the base's."""
    exported = CliRunner().invoke(main, ["export", str(checkpoint), str(out), "--dtype", "float32"])
    assert exported.exit_code == 0, exported.output
    before, after = load_file(model / "model.safetensors"), load_file(out / "model.safetensors")
    return {name for name, tensor in before.items() if not tensor.float().equal(after[name])}


def evaluated(model: Path, data: Path, directory: Path) -> float:
    """The evaluation loss of an exported model: that of a run which moves it by nothing."""
    run(
        tiny.config(
            model, data, directory / "still", max_steps=1, learning_rate=1e-12, eval_strategy="steps", eval_steps=1
        )
    )
    return tiny.log(directory / "still", "eval/loss")[-1]


@pytest.mark.parametrize("recipe", ALIGNERS)
def test_an_aligner_recipe_trains_the_aligner_alone(recipe: str, model: Path, data: Path, tmp_path: Path):
    tuner, kind = ALIGNERS[recipe]
    checkpoint = run_small(recipe, model, data, tmp_path, tuner=tuner, training="warmup_ratio: 0.0")
    config = checkpoint / "adapter_config.json"
    assert (json.loads(config.read_text("utf-8"))["peft_type"] if config.exists() else None) == kind
    if recipe == "aligner_dora":
        assert json.loads(config.read_text("utf-8"))["use_dora"] is True
    names = changed(checkpoint, model, tmp_path / "exported")
    seen = tiny.log(checkpoint.parent, "eval/loss")[-1]
    assert evaluated(tmp_path / "exported", data, tmp_path) == pytest.approx(seen, abs=2e-6)
    assert names
    assert all(".merger." in name or ".deepstack_merger_list." in name for name in names)


def test_the_two_stages_build_on_each_other(model: Path, data: Path, tmp_path: Path):
    first = run_small("stage_1_aligner", model, data, tmp_path)
    second = run_small(
        "stage_2_llm_lora",
        model,
        data,
        tmp_path,
        tuner=f"resume_from_checkpoint: {first}",
        training="warmup_ratio: 0.0",
    )
    weights = load_file(second / "adapter_model.safetensors")
    before = load_file(first / "adapter_model.safetensors")
    assert before.keys() < weights.keys()
    towers = {("language_model" in name, ".merger" in name or "_merger_list" in name) for name in weights}
    assert towers == {(True, False), (False, True)}
    names = changed(second, model, tmp_path / "exported")
    assert any("language_model" in name for name in names)
    assert not any("visual.blocks" in name for name in names)


@pytest.mark.parametrize("recipe", ["full", "summary"])
def test_a_recipe_of_every_weight_or_of_lines_runs(recipe: str, model: Path, data: Path, tmp_path: Path):
    tuner = "resume_from_checkpoint: null" if recipe == "summary" else ""
    # tests/contract/test_trainer_sharding.py is about DeepSpeed
    training = "save_delay_epochs: null\ndeepspeed: null" if recipe == "full" else ""
    checkpoint = run_small(recipe, model, data, tmp_path, tuner=tuner, training=training)
    assert any(path.suffix == ".safetensors" for path in checkpoint.iterdir())
