"""``vqc-registry`` as a person or a script uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.registry_models import BELONGS, digests, write_adapter, write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def run(root: Path | None, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "VQC_REGISTRY"}
    if root is not None:
        environment["VQC_REGISTRY"] = str(root)
    command = [sys.executable, "-m", "registry.cli", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def printed(root: Path, *words: str | Path) -> object:
    ran = run(root, *words, "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_life_of_a_version(model: Path, tmp_path: Path) -> None:
    root = tmp_path / "registry"
    pushed = printed(root, "push", model, "--alias", "v1")
    assert pushed["aliases"] == ["v1"]
    assert pushed["left_out"] == ["args.json", "optimizer.pt"]
    assert {file["path"] for file in pushed["files"]} == BELONGS
    digest = pushed["digest"]
    assert run(root, "push", model).stdout == f"{digest}\n"
    assert printed(root, "verify", "v1") == {"digest": digest, "verified": True}
    moved = printed(root, "move", "champion", "v1", "--expected", "none", "--reason", "first", "--actor", "ann")
    assert (moved["before"], moved["after"], moved["actor"]) == (None, digest, "ann")
    assert printed(root, "list")[0]["aliases"] == ["champion", "v1"]
    shown = printed(root, "show", digest[:19])
    assert (shown["digest"], shown["attached"]) == (digest, [])
    out = tmp_path / "out"
    assert printed(root, "pull", "champion", out) == {"digest": digest, "path": str(out)}
    assert set(digests(out)) == BELONGS
    assert [entry["action"] for entry in printed(root, "log")] == ["push", "move", "move"]
    assert printed(root, "gc", "--older-than-hours", "0")["versions"] == []
    run(root, "move", "champion", "--remove")
    run(root, "move", "v1", "--remove")
    assert printed(root, "gc", "--older-than-hours", "0")["versions"] == [digest]
    assert printed(root, "list") == []


def test_a_pull_replaces_a_model_only_where_told_and_nothing_else(model: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "registry", tmp_path / "current"
    printed(root, "push", model, "--alias", "v1")
    printed(root, "pull", "v1", out)
    first = digests(out)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"note": "another version"}))
    second = printed(root, "push", model, "--alias", "v1")["digest"]
    assert run(root, "pull", "v1", out).returncode == 2
    assert digests(out) == first
    assert printed(root, "pull", "v1", out, "--replace") == {"digest": second, "path": str(out)}
    assert digests(out)["config.json"] != first["config.json"]
    assert printed(root, "pull", "v1", out, "--replace")["digest"] == second  # again is the same
    assert sorted(path.name for path in tmp_path.iterdir() if "current" in path.name) == ["current"]
    (out / "config.json").unlink()
    refused = run(root, "pull", "v1", out, "--replace")
    assert (refused.returncode, "a directory with a model" in refused.stderr) == (2, True)


def test_people_get_tables_and_sentences(model: Path, tmp_path: Path) -> None:
    root = tmp_path / "registry"
    pushed = run(root, "push", model, "--alias", "v1")
    assert pushed.stderr == "left out: args.json, optimizer.pt\n"
    digest = pushed.stdout.strip()
    assert digest[:19] in run(root, "list").stdout
    assert f"digest: {digest}" in run(root, "show", "v1").stdout
    assert "every byte verified" in run(root, "verify", "v1").stdout
    assert "push" in run(root, "log").stdout
    assert "would free" in run(root, "gc", "--dry-run").stderr


def test_verify_says_which_file_is_spoilt(model: Path, tmp_path: Path) -> None:
    root = tmp_path / "registry"
    pushed = printed(root, "push", model, "--alias", "v1")
    file = next(file for file in pushed["files"] if file["path"] == "tokenizer.json")
    blob = root / "blobs/sha256" / file["digest"][7:]
    blob.chmod(0o644)
    spoilt = bytes(file["size_bytes"])
    blob.write_bytes(spoilt)
    for ref in ("v1", pushed["digest"]):
        ran = run(root, "verify", ref)
        assert ran.returncode == 1
        assert "tokenizer.json" in ran.stderr
        assert f"expected {file['digest']}" in ran.stderr
        assert f"found sha256:{sha256(spoilt).hexdigest()}" in ran.stderr


def test_an_adapter_is_pushed_onto_its_base(model: Path, tmp_path: Path) -> None:
    root = tmp_path / "registry"
    adapter = write_adapter(tmp_path / "adapter")
    refused = run(root, "push", adapter)
    assert refused.returncode == 2
    assert "pass that version as --base" in refused.stderr
    base = printed(root, "push", model, "--alias", "base")["digest"]
    pushed = printed(root, "push", adapter, "--base", "base", "--alias", "lora")
    assert (pushed["kind"], pushed["base"]) == ("adapter", base)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["verify", "champion"], 2, "aliases in"),
        (["push", "/nowhere"], 2, "checkpoint: '/nowhere' is not valid"),
        (["move", "champion"], 2, "give either REF or --remove"),
        (["move", "champion", "x"], 2, "none yet"),
        (["list", "--registry", "oci://host"], 2, "oci://host[:port]/repository"),
        (["list", "--registry", "/etc"], 2, "name an OCI image layout"),
    ],
)
def test_what_was_asked_wrongly_is_one_sentence(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    ran = run(tmp_path / "registry", *words)
    assert ran.returncode == code
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_without_a_registry_the_command_says_how_to_name_one() -> None:
    ran = run(None, "list")
    assert ran.returncode == 2
    assert "VQC_REGISTRY" in ran.stderr
