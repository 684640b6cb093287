"""The training-free loop as a user runs it: real processes on the scripted engine, killed and resumed."""

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from copy import deepcopy
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.support.stage_b_commands import CONFIG, environment
from tests.support.trajectory import DOCUMENTED

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
KILLED_AFTER = """
import os, signal, sys
from service.learning.journal import Journal
left, append = int(sys.argv.pop(1)), Journal._append
def failing(self, entry):
    global left
    append(self, entry)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
Journal._append = failing
from service.cli import main
main(sys.argv[1:])
"""
"""The command, which kills its own process after so many answers."""


def vqc(*arguments, code=("-m", "service.cli")) -> subprocess.CompletedProcess:
    command = [sys.executable, *map(str, code), "stage-b", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment())


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    """The shipped configuration over the first 200 sample tickets."""
    folder = tmp_path_factory.mktemp("config")
    tree = yaml.safe_load(CONFIG.read_text("utf-8"))
    lines = (ROOT / tree["stage_a_paths"]).read_text("utf-8").splitlines(keepends=True)
    (folder / "tickets.jsonl").write_text("".join(lines[:200]), "utf-8")
    tree["stage_a_paths"] = str(folder / "tickets.jsonl")
    (folder / "config.yaml").write_text(yaml.safe_dump(tree, allow_unicode=True), "utf-8")
    return folder / "config.yaml"


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory) -> Path:
    """The folder of an uninterrupted run."""
    output = tmp_path_factory.mktemp("whole")
    ran = vqc("run", config, "--output", output)
    assert ran.returncode == 0, ran.stderr
    return output / "demo"


def test_a_run_leaves_every_artifact_and_each_is_valid(whole):
    schemas = {
        path.name.removesuffix(".schema.json"): json.loads(path.read_text("utf-8"))
        for path in SCHEMAS.glob("*.schema.json")
    }
    checks = {name: jsonschema.Draft202012Validator(schema) for name, schema in schemas.items()}
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    missions = [path.parent for path in whole.glob("*/metrics.json")]
    assert len(missions) == 2
    for folder in missions:
        assert {path.name for path in folder.iterdir()} == {
            ".lock",
            "guidance.json",
            "history.jsonl",
            "metrics.json",
            "reflections.jsonl",
            "selections.jsonl",
            "snapshots",
            "trajectories.jsonl",
        }
        for kind, name in (("trajectory", "trajectories"), ("selection", "selections"), ("reflection", "reflections")):
            lines = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()]
            assert lines
            for line in lines:
                checks[kind].validate(line)
        checks["metrics"].validate(json.loads((folder / "metrics.json").read_text("utf-8")))
        for path in (folder / "guidance.json", *(folder / "snapshots").iterdir()):
            checks["guidance"].validate(json.loads(path.read_text("utf-8")))
    assert {path.name for path in whole.iterdir() if path.is_file()} == {
        ".lock",
        "run.json",
        "ingest.json",
        "report.html",
    }


def test_the_reference_documents_example_is_valid():
    example = deepcopy(DOCUMENTED)
    schema = json.loads((SCHEMAS / "trajectory.schema.json").read_text("utf-8"))
    jsonschema.validate(example, schema)
    del example["result"]["scores"]["needs_recheck"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(example, schema)


@pytest.mark.parametrize("answers", [1, 321, 412])
def test_a_run_that_was_killed_and_resumed_has_the_bytes_of_an_uninterrupted_one(config, whole, tmp_path, answers):
    killed = vqc("run", config, "--output", tmp_path, code=("-c", KILLED_AFTER, answers))
    assert killed.returncode == -signal.SIGKILL
    journal = (tmp_path / "demo" / "journal.jsonl").read_text("utf-8").splitlines()
    assert len(journal) == answers
    assert not (tmp_path / "demo" / "report.html").exists()
    resumed = vqc("run", config, "--output", tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert files_of(tmp_path / "demo") == files_of(whole)


def test_no_ticket_is_lost_or_selected_twice(whole):
    for folder in (path.parent for path in whole.glob("*/metrics.json")):
        lines = [json.loads(line) for line in (folder / "selections.jsonl").read_text("utf-8").splitlines()]
        counts = Counter((line["epoch"], line["group_id"]) for line in lines)
        assert set(counts.values()) == {1}
        assert Counter(epoch for epoch, _ in counts)[1] == 100


def test_a_complete_run_is_left_alone_another_configuration_is_rejected_and_fresh_starts_over(config, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "demo")
    before = files_of(tmp_path / "demo")
    again = vqc("run", config, "--output", tmp_path)
    assert (again.returncode, "already complete" in again.stdout) == (0, True)
    assert files_of(tmp_path / "demo") == before
    (tmp_path / "demo" / "report.html").unlink()
    tree = yaml.safe_load(config.read_text("utf-8"))
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(tree | {"seed": 18}, allow_unicode=True), "utf-8")
    refused = vqc("run", tmp_path / "other.yaml", "--output", tmp_path)
    assert (refused.returncode, "config.seed" in refused.stderr) == (2, True)
    assert "Traceback" not in refused.stderr
    fresh = vqc("run", tmp_path / "other.yaml", "--output", tmp_path, "--fresh")
    assert fresh.returncode == 0, fresh.stderr


def test_bad_lines_are_reported_and_do_not_end_the_run(config, tmp_path):
    tree = yaml.safe_load(config.read_text("utf-8"))
    lines = Path(tree["stage_a_paths"]).read_text("utf-8").splitlines()[:6]
    (tmp_path / "t.jsonl").write_text("\n".join([*lines, "{", lines[0]]), "utf-8")
    tree |= {"stage_a_paths": str(tmp_path / "t.jsonl"), "reflection": {"enabled": False}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(tree, allow_unicode=True), "utf-8")
    ran = vqc("run", tmp_path / "c.yaml", "--output", tmp_path)
    assert ran.returncode == 0
    assert f"rejected: {tmp_path / 't.jsonl'}:7: " in ran.stderr
    assert f"rejected: {tmp_path / 't.jsonl'}:8: " in ran.stderr
    rejected = json.loads((tmp_path / "demo" / "ingest.json").read_text("utf-8"))
    assert (rejected["tickets"], len(rejected["rejected"])) == (6, 2)
    (tmp_path / "t.jsonl").write_text("{", "utf-8")
    none = vqc("run", tmp_path / "c.yaml", "--output", tmp_path, "--fresh")
    assert (none.returncode, "at least one usable ticket" in none.stderr) == (2, True)


def test_calibrate_show_and_approve(whole, tmp_path):
    run, store = tmp_path / "demo", tmp_path / "store"
    shutil.copytree(whole, run)
    calibrated = vqc("calibrate", run, "--budget", "0.4", "--store", store)
    assert calibrated.returncode == 0, calibrated.stderr
    assert "通过 is released from a score of" in calibrated.stdout
    assert "(budget 40.0 %" in (run / "report.html").read_text("utf-8")
    checked = vqc("calibrate", run, "--budget", "0.4", "--check", whole)
    assert checked.stdout.count("  on 100 other tickets") == 2, checked.stderr
    shown = json.loads(vqc("show", run, "--json").stdout)
    assert set(shown) == {"挡风板安装检查", "BBU接地线检查"}
    assert "200 labelled" not in vqc("show", run).stdout
    approved = vqc("approve", run, "--mission", "挡风板安装检查", "--store", store, "--by", "Li")
    assert "is active, with its threshold" in approved.stdout, approved.stderr
    assert len(list((store / "挡风板安装检查" / "thresholds").iterdir())) == 1
    wrong = vqc("approve", run, "--mission", "塔灯检查", "--store", store, "--by", "Li")
    assert (wrong.returncode, "missions of the run" in wrong.stderr) == (2, True)
    proposed = vqc("propose", run, "--store", store, "--by", "Li")
    assert "nothing to propose" in proposed.stdout, (
        proposed.stderr
    )  # made-up answers improve nothing: the gate refuses them
    no_run = vqc("show", store)
    assert (no_run.returncode, "run.json" in no_run.stderr) == (2, True)
    other = json.loads((run / "run.json").read_text("utf-8")) | {"sampler": "0" * 64}
    (run / "run.json").write_text(json.dumps(other), "utf-8")
    refused = vqc("calibrate", whole, "--check", run)
    assert (refused.returncode, "different: sampler" in refused.stderr) == (2, True)


def test_the_script_takes_the_reference_documents_arguments(config, tmp_path):
    command = ["bash", ROOT / "scripts" / "stage_b_run.sh", config, "--log-level", "debug", "--output", tmp_path]
    ran = subprocess.run(
        [*map(str, command), "--engine", "scripted"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert ran.returncode == 0, ran.stderr
    events = {json.loads(line)["event"] for line in ran.stderr.splitlines() if line.startswith("{")}
    assert {"settings", "stage_b_run", "engine_asked", "engine_answered"} <= events
    assert (tmp_path / "demo" / "report.html").exists()
    none = subprocess.run(["bash", str(command[1])], capture_output=True, text=True, check=False)
    assert (none.returncode, "usage" in none.stderr) == (2, True)
