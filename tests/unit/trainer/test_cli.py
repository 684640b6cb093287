import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support import tiny
from trainer.cli import main

ROOT = Path(__file__).parents[3]


def without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process where importing torch or transformers fails."""
    script = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None; "
        f"sys.argv = ['vqc-train', *{list(arguments)!r}]; from trainer.cli import main; main()"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize(
    "command", ["", "run", "export", "evaluate", "scenes", "validate", "contact-sheet", "convert", "tiny"]
)
def test_help_needs_no_torch(command):
    done = without_torch(*command.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: vqc-train" in done.stdout


def test_config_errors_and_dry_runs_need_no_torch(tmp_path: Path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("model: {model: tiny}\ntraining: {output_dir: x, lerning_rate: 1}\n", encoding="utf-8")
    done = without_torch("run", str(bad))
    assert done.returncode == 1
    assert "learning_rate" in done.stderr
    assert "Traceback" not in done.stderr
    dry = without_torch("run", "configs/smoke.yaml", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "tuner_type: lora" in dry.stdout


def test_converting_needs_no_torch():
    done = without_torch("convert", "configs/stage_1_aligner.yaml")
    assert done.returncode == 0, done.stderr
    assert "freeze_llm: true" in done.stdout


def test_validate_names_what_is_broken(tmp_path: Path):
    path = tiny.data(tmp_path / "data", 2)
    assert CliRunner().invoke(main, ["validate", str(path)]).exit_code == 0
    path.write_text(path.read_text("utf-8") + "[]\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["validate", str(path), "--json"])
    assert result.exit_code == 1
    assert "data.jsonl:3" in json.loads(result.stdout)["errors"][0]


def test_evaluate_wants_one_of_two(tmp_path: Path):
    path = tiny.data(tmp_path / "data", 1)
    result = CliRunner().invoke(main, ["evaluate", "--data", str(path)])
    assert result.exit_code == 2
    assert "either MODEL_DIR or --url" in result.output


def test_export_refuses_what_is_no_checkpoint(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(main, ["export", str(tmp_path / "empty"), str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "name a checkpoint directory" in result.output
    assert not (tmp_path / "out").exists()


def test_scenes_are_drawn(tmp_path: Path):
    result = CliRunner().invoke(main, ["scenes", str(tmp_path / "s"), "--seed", "3", "--count", "2", "--tickets", "1"])
    assert result.exit_code == 0, result.output
    assert len((tmp_path / "s/data.jsonl").read_text("utf-8").splitlines()) == 2
    assert len((tmp_path / "s/tickets/tickets.jsonl").read_text("utf-8").splitlines()) == 1
