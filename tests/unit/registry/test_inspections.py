"""Inspections as artifacts: kept whole, moved and rolled back, brought by the model that was trained under them."""

from __future__ import annotations

import json
import os

import pytest

from registry import Registry, open_registry
from registry.cli import main
from registry.errors import AliasMoved, Corrupt, UnknownVersion
from registry.gates.examine import contract_findings
from registry.gates.promote import rollback
from registry.inspections import (
    inspection_alias,
    inspection_version,
    inspection_versions,
    inspections_for_push,
    inspections_with,
    materialise_references,
    pull_inspection,
    push_inspection,
    read_inspection,
)
from tests.support.bare_model import checkpoint
from tests.support.inspections import TOWER_LIGHT, copy_of_default, inspections
from tests.support.memory_registry import MemoryRegistry
from vqc.contract import MANIFEST, contract_digests, differing_parts
from vqc.errors import InvalidValue
from vqc.inspection import MISSIONS
from vqc.missions import active, default_name, inspection_directory

NAME = default_name()
DIRECTORY = inspection_directory(NAME)


@pytest.fixture(params=["layout", "remote"])
def registry(request, tmp_path) -> Registry:
    return open_registry(tmp_path / "registry") if request.param == "layout" else MemoryRegistry().open()


def trained(directory, content: bytes):
    """A checkpoint trained under the active inspections."""
    made = checkpoint(directory, content)
    (made / MANIFEST).write_text(json.dumps({"contract": contract_digests()}))
    return made


def second_version(out):
    """The default inspection as version 99 with one mission more."""
    made = copy_of_default(out, further=TOWER_LIGHT)
    header = (made / "inspection.yaml").read_text("utf-8")
    old = next(line for line in header.splitlines() if line.startswith("version:"))
    (made / "inspection.yaml").write_text(header.replace(old, "version: 99"), "utf-8")
    return made


def test_what_comes_back_is_what_went_in(registry, tmp_path) -> None:
    pushed = push_inspection(registry, DIRECTORY)
    assert push_inspection(registry, DIRECTORY) == pushed == inspection_version(registry, pushed.digest)
    assert pull_inspection(registry, pushed.digest, tmp_path / "out").digest == active().inspections[0].digest
    for file in (tmp_path / "out").iterdir():
        assert file.read_bytes() == (DIRECTORY / file.name).read_bytes()
    with pytest.raises(InvalidValue, match="is empty"):
        pull_inspection(registry, pushed.digest, tmp_path / "out")


def test_it_is_no_model_and_its_aliases_are_its_own(registry, tmp_path) -> None:
    pushed = push_inspection(registry, DIRECTORY)
    assert registry.versions() == []
    with pytest.raises(Corrupt):
        registry.version(pushed.digest)
    with pytest.raises(InvalidValue, match="prefix"):
        registry.move("champion", pushed.digest, expected=None)
    model = registry.push(checkpoint(tmp_path / "a", b"one"))
    with pytest.raises(InvalidValue, match="prefix"):
        registry.move(inspection_alias(NAME), model.digest, expected=None)
    with pytest.raises(InvalidValue, match="must be an inspection"):
        read_inspection(registry, model.digest)


def test_a_reference_names_the_active_version_or_a_number(registry, tmp_path) -> None:
    first, second = push_inspection(registry, DIRECTORY), push_inspection(registry, second_version(tmp_path / "own"))
    assert {one.digest for one in inspection_versions(registry, NAME)} == {first.digest, second.digest}
    with pytest.raises(UnknownVersion):
        read_inspection(registry, f"inspection/{NAME}")
    registry.move(inspection_alias(NAME), first.digest, expected=None)
    assert inspection_version(registry, f"inspection/{NAME}") == first
    assert inspection_version(registry, f"inspection/{NAME}@99") == second
    with pytest.raises(UnknownVersion):
        read_inspection(registry, f"inspection/{NAME}@98")
    registry.move(inspection_alias(NAME), second.digest, expected=first.digest, actor="li", reason="塔灯")
    with pytest.raises(AliasMoved):
        registry.move(inspection_alias(NAME), second.digest, expected=first.digest)
    assert (registry.audit()[-1].actor, registry.audit()[-1].reason) == ("li", "塔灯")
    rollback(registry, inspection_alias(NAME))
    assert inspection_version(registry, f"inspection/{NAME}") == first


def test_an_invalid_inspection_is_not_stored(registry, tmp_path) -> None:
    own = copy_of_default(tmp_path / "own", further=TOWER_LIGHT + TOWER_LIGHT)
    with pytest.raises(InvalidValue, match="one mission only"):
        push_inspection(registry, own)
    (own / MISSIONS).unlink()
    (own / MISSIONS).symlink_to(DIRECTORY / MISSIONS)
    with pytest.raises(InvalidValue, match="inside the inspection's directory"):
        push_inspection(registry, own)
    assert inspection_versions(registry) == []


def test_a_model_brings_what_it_was_trained_under(registry, tmp_path) -> None:
    chosen = active()
    with inspections(NAME, "meters"):
        made = trained(tmp_path / "a", b"one")
        brought = inspections_for_push(registry, contract_digests(), ())
    model = registry.push(made, inspections=brought)
    assert registry.push(made, inspections=brought) == model
    assert registry.push(made).digest != model.digest
    assert [inspection_version(registry, one).name for one in model.inspections] == [NAME, "meters"]
    assert [one.name for one in inspections_with(registry, model.digest, chosen).inspections] == [NAME, "meters"]
    assert inspections_with(registry, registry.push(made).digest, chosen) is chosen


def test_the_operators_directory_stays_and_a_registry_reference_gives_way(registry, tmp_path) -> None:
    first = push_inspection(registry, DIRECTORY)
    registry.move(inspection_alias(NAME), first.digest, expected=None)
    later = push_inspection(registry, second_version(tmp_path / "own"))
    model = registry.push(checkpoint(tmp_path / "a", b"one"), inspections=[later.digest])
    with inspections(DIRECTORY, "meters") as chosen:
        kept = inspections_with(registry, model.digest, chosen)
        assert [one.header.version for one in kept.inspections] == [one.header.version for one in chosen.inspections]
    value = materialise_references(f"inspection/{NAME}{os.pathsep}meters", registry, tmp_path / "cache")
    with inspections(*value.split(os.pathsep)) as chosen:
        moved = inspections_with(registry, model.digest, chosen)
        assert [one.name for one in moved.inspections] == [NAME, "meters"]
        assert ("塔灯检查" in moved.missions, "塔灯检查" in chosen.missions) == (True, False)


def test_the_contract_gate_compares_under_the_inspection_that_the_model_brings(registry, tmp_path) -> None:
    own = copy_of_default(tmp_path / "own")
    prompts = (own / "prompts.yaml").read_text("utf-8")
    (own / "prompts.yaml").write_text(prompts.replace("任务重点", "任务要点"), "utf-8")
    with inspections(own):
        made = trained(tmp_path / "a", b"one")
        brought = inspections_for_push(registry, contract_digests(), ())
    bare, whole = registry.push(made), registry.push(made, inspections=brought)
    assert differing_parts(whole.contract) == [f"prompts/{NAME}"]
    assert [finding.values["part"] for finding in contract_findings(registry, bare.digest)] == [f"prompts/{NAME}"]
    assert contract_findings(registry, whole.digest) == []


def test_push_stores_and_names_the_inspection(tmp_path, capsys) -> None:
    where, made = str(tmp_path / "registry"), trained(tmp_path / "a", b"one")
    for words in ([], ["--no-inspection"], ["--inspection", "meters"]):
        with pytest.raises(SystemExit) as ended:
            main(["push", str(made), "--registry", where, *words])
        assert not ended.value.code
    digests, registry = capsys.readouterr().out.split(), open_registry(where)
    names = [[inspection_version(registry, one).name for one in registry.version(of).inspections] for of in digests]
    assert names == [[NAME], [], ["meters"]]
    with pytest.raises(SystemExit):
        main(["show", digests[0], "--registry", where, "--json"])
    assert json.loads(capsys.readouterr().out)["inspections"] == [*registry.version(digests[0]).inspections]
    assert registry.gc().versions  # nothing names the models; the inspections are kept
    assert {one.name for one in inspection_versions(registry)} == {NAME, "meters"}
