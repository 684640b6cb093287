"""The registry catalogue over a real registry in a directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry import Registry, open_registry
from service.models.registry_catalogue import RegistryCatalogue
from service.platform.errors import CatalogueUnavailable, NotPromoted
from tests.support.evaluated_models import evaluated, write_policy


@pytest.fixture
def registry(tmp_path) -> Registry:
    return open_registry(tmp_path / "registry")


@pytest.fixture
def catalogue(registry, tmp_path) -> RegistryCatalogue:
    return RegistryCatalogue(registry, write_policy(tmp_path / "policy.yaml"), tmp_path / "cache")


def test_an_empty_registry_has_only_the_aliases_of_the_policy(catalogue):
    found = catalogue.snapshot()
    assert [(one.alias, one.digest, one.gated) for one in found.aliases] == [("champion", None, True)]
    assert (found.versions, found.moves, found.policy_problem) == ((), (), None)
    assert [len(one.values) for one in catalogue.metric_histories("champion")] == [0, 0]


def test_a_version_is_promoted_through_its_gates_and_rolled_back(registry, catalogue, tmp_path):
    first, second = (evaluated(registry, tmp_path, seed, f1) for seed, f1 in ((1, 0.6), (2, 0.7)))
    catalogue.promote(first, "champion", expected=None, by="Li", reason="first")
    assert catalogue.candidacy(second, "champion").has_no_findings
    catalogue.promote(second, "champion", expected=first, by="Li", reason="better")
    found = catalogue.snapshot()
    (champion,) = found.aliases
    assert (champion.digest, champion.previous) == (second, first)
    assert [one.aliases for one in found.versions] == [("champion",), ()]
    assert (found.moves[0].by, found.moves[0].before, found.moves[0].after) == ("Li", first, second)
    catalogue.rollback("champion", expected=second, to=first, by="Wang", reason="complaints")
    assert registry.resolve("champion") == first


def test_every_gate_is_listed_with_its_findings(registry, catalogue, tmp_path):
    good, bare = evaluated(registry, tmp_path, 1, 0.6), evaluated(registry, tmp_path, 2, contract=False)
    found = catalogue.candidacy(bare, "champion")
    said = {gate.gate: gate for gate in found.gates}
    assert (said["contract"].findings[0].code, said["contract"].findings[0].values["part"]) == (
        "other_contract",
        "grammar",
    )
    assert "no such report" in said["evaluation"].findings[0].text
    assert (said["bytes"].late, found.has_no_findings) == (True, False)
    with pytest.raises(NotPromoted) as refused:
        catalogue.promote(bare, "champion", expected=None, by="Li", reason="")
    assert len(refused.value.reasons) == 2
    assert catalogue.candidacy(good, "champion").has_no_findings
    versions = {one.digest: one for one in catalogue.snapshot().versions}
    assert [versions[digest].contract_is_running for digest in (good, bare)] == [True, False]
    assert versions[good].lineage == {"git_revision": f"{1:040x}"}


def test_metrics_are_listed_over_versions_with_their_limits(registry, catalogue, tmp_path):
    digests = [evaluated(registry, tmp_path, seed, f1) for seed, f1 in ((1, 0.6), (2, None), (3, 0.7))]
    f1, malformed = catalogue.metric_histories("champion")
    assert (f1.metric, f1.minimum, f1.values) == ("f1_50_box", 0.5, ((digests[2], 0.7), (digests[0], 0.6)))
    assert malformed.maximum == 0.02


def test_an_outdated_page_moves_no_alias(registry, catalogue, tmp_path):
    first, second = (evaluated(registry, tmp_path, seed, 0.6) for seed in (1, 2))
    catalogue.promote(first, "champion", expected=None, by="Li", reason="")
    for call in (
        lambda: catalogue.promote(second, "champion", expected=None, by="Wang", reason=""),
        lambda: catalogue.rollback("champion", expected=second, to=first, by="Wang", reason=""),
    ):
        with pytest.raises(NotPromoted, match="meanwhile"):
            call()
    assert registry.resolve("champion") == first


def test_bytes_are_read_on_promotion_only(registry, catalogue, tmp_path):
    version = evaluated(registry, tmp_path, 1, 0.6)
    weights = next(one for one in registry.version(version).files if one.title.endswith(".safetensors"))
    blob = Path(registry.where, "blobs", "sha256", weights.digest.removeprefix("sha256:"))
    blob.chmod(0o644)
    blob.write_bytes(b"other bytes")
    assert catalogue.candidacy(version, "champion").has_no_findings
    with pytest.raises(NotPromoted, match="bytes: "):
        catalogue.promote(version, "champion", expected=None, by="Li", reason="")


@pytest.mark.parametrize(("version", "alias"), [("sha256:" + "0" * 64, "champion"), ("nobody", "champion")])
def test_unknown_versions_and_aliases_are_rejected(catalogue, version, alias):
    with pytest.raises(NotPromoted, match="not valid"):
        catalogue.candidacy(version, alias)


def test_an_alias_without_rules_and_a_version_it_never_had_are_rejected(registry, catalogue, tmp_path):
    first, second = (evaluated(registry, tmp_path, seed, 0.6) for seed in (1, 2))
    with pytest.raises(NotPromoted, match="has rules for: champion"):
        catalogue.promote(first, "candidate", expected=None, by="Li", reason="")
    catalogue.promote(first, "champion", expected=None, by="Li", reason="")
    with pytest.raises(NotPromoted, match="never been"):
        catalogue.rollback("champion", expected=first, to=second, by="Li", reason="")


def test_without_a_policy_file_the_registry_is_still_shown(registry, tmp_path):
    evaluated(registry, tmp_path, 1)
    found = RegistryCatalogue(registry, tmp_path / "none.yaml", tmp_path).snapshot()
    assert len(found.versions) == 1
    assert found.policy_problem is not None
    assert "none.yaml" in found.policy_problem


def test_a_damaged_registry_is_reported(registry, catalogue, tmp_path):
    evaluated(registry, tmp_path, 1)
    Path(registry.where, "index.json").write_text("{")
    with pytest.raises(CatalogueUnavailable, match="cannot be used"):
        catalogue.snapshot()
