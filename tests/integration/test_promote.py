"""Promotion with everything real: the demo model served by vLLM beside transformers, and a Docker Registry as the registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry import AliasMoved, open_registry
from registry.gates.policy import Rule
from registry.gates.promote import promote, rollback
from registry.gates.reports import attach_report
from registry.guidance import guidance_alias, guidance_version, guidance_versions, push_guidance
from tests.support.docker_registry import DockerRegistry
from tests.support.promotion import GOOD, MISSION, guidance_record
from tests.support.registry_models import write_model
from vqc.contract import MANIFEST, contract_digests

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "configs/registry_policy.yaml"


def ran(where: Path, *words: str) -> tuple[int, dict[str, object]]:
    """Exit code and JSON document of a command, run on the registry below ``where``."""
    environment = {**os.environ, "VQC_REGISTRY": str(where / "registry"), "VQC_MODEL_CACHE": str(where / "cache")}
    command = [sys.executable, "-m", "registry.cli", *words, "--json"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.engine
def test_the_demo_model_passes_the_shipped_policy_once_it_was_served(tmp_path: Path) -> None:
    _, pushed = ran(tmp_path, "push", str(ROOT / "deploy/demo/model"))
    version = str(pushed["digest"])
    wanted = ("promote", version, "--to", "champion", "--policy", str(POLICY))
    code, refused = ran(tmp_path, *wanted)
    findings = refused["findings"]
    assert isinstance(findings, list)
    assert (code, [finding["gate"] for finding in findings]) == (1, ["evaluation", "smoke-serve"])

    report = tmp_path / "report.json"
    report.write_text(json.dumps(GOOD | {"f1_50_line": 0.2, "stage_a_recall": 0.3}))
    assert ran(tmp_path, "attach", version, "--type", "evaluation", str(report))[0] == 0
    photos = ("--photos", str(ROOT / "deploy/demo/photos"))
    few = ("--profile", "cpu", "--max-new-tokens", "64", "--log", str(tmp_path / "engine.log"))
    code, smoke = ran(tmp_path, "smoke-serve", version, *photos, *few)
    assert code == 0, smoke
    assert (smoke["version"], smoke["dtype"], smoke["num_photos"], smoke["num_answers"]) == (version, "float32", 7, 14)
    assert (smoke["disagreeing"], smoke["unreadable"]) == (0, 0)
    answers = smoke["answers"]
    assert isinstance(answers, list)
    assert len({answer["engine"] for answer in answers}) > 10  # it was asked about different photos, and saw them

    code, moved = ran(tmp_path, *wanted)
    assert (code, moved["version"], moved["previous"]) == (0, version, None)


def test_a_remote_registry_promotes_and_rolls_back_models_and_guidance(
    docker_registry: DockerRegistry, tmp_path: Path
) -> None:
    registry = open_registry(f"oci://{docker_registry.host}/promote/r{os.getpid()}")
    versions = []
    for seed in (1, 2):
        directory = write_model(tmp_path / f"model-{seed}", seed=seed)
        (directory / MANIFEST).write_text(json.dumps({"contract": contract_digests()}))
        versions.append(registry.push(directory).digest)
        attach_report(registry, versions[-1], "evaluation", GOOD)
        promote(registry, versions[-1], "champion", Rule(), policy="f" * 64, cache=tmp_path / "cache")
    assert registry.resolve("champion") == versions[1]
    assert rollback(registry, "champion").version == versions[0]
    with pytest.raises(AliasMoved):
        registry.move("champion", versions[1], expected=versions[1])

    alias = guidance_alias(MISSION)
    steps = [push_guidance(registry, guidance_record(step)).digest for step in (0, 1)]
    for step in steps:
        promote(registry, step, alias, Rule(), policy="f" * 64, cache=tmp_path / "cache")
    assert rollback(registry, alias).version == steps[0]
    assert guidance_version(registry, alias).record == guidance_version(registry, steps[0]).record
    assert [version.digest for version in guidance_versions(registry)] == steps
    assert {version.digest for version in registry.versions()} == set(versions)
    assert registry.aliases() == {"champion": versions[0]}
