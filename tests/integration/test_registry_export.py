"""``vqc-train export --register``: from a checkpoint to a version that says what it was trained under."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from registry import open_registry
from registry.inspections import inspection_version
from tests.support.registry_models import digests
from trainer.cli import main
from vqc.contract import contract_digests
from vqc.missions import default_name


def test_an_export_becomes_a_version_with_its_contract(tiny_checkpoint: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "registry", tmp_path / "model"
    words = ["export", str(tiny_checkpoint), str(out), "--register", "--registry", str(root), "--alias", "candidate"]
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 0, ran.output
    registry = open_registry(root)
    version = registry.version("candidate")
    assert ran.stdout.split() == [str(out), version.digest]
    assert contract_digests().items() <= version.contract.items()
    assert [inspection_version(registry, one).name for one in version.inspections] == [default_name()]
    assert digests(registry.materialise("candidate", tmp_path / "cache")) == digests(out)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--register"], "--register needs --registry or VQC_REGISTRY"), (["--alias", "x"], "--alias needs --register")],
)
def test_a_registration_without_a_registry_is_refused_before_any_work(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.delenv("VQC_REGISTRY", raising=False)
    ran = CliRunner().invoke(main, ["export", str(tiny_checkpoint), str(tmp_path / "out"), *words])
    assert ran.exit_code == 2
    assert said in ran.output
    assert not (tmp_path / "out").exists()
