"""Guidance as versions: kept whole, promoted and rolled back as models are, and never mixed up with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry import Registry
from registry.errors import Corrupt
from registry.gates.errors import NothingToRollBackTo, PromotionRefused
from registry.gates.policy import MetricRule, ReportRule, Rule
from registry.gates.promote import promote, rollback
from registry.gates.reports import attach_report
from registry.guidance import guidance_alias, guidance_version, guidance_versions, push_guidance
from tests.support.promotion import GOOD, MISSION, Push, guidance_record
from vqc.contract import contract_digests, mission_digests
from vqc.errors import InvalidValue

ALIAS = guidance_alias(MISSION)
RULE = Rule(reports={"stage-b": ReportRule(metrics={"epochs.-1.accuracy": MetricRule(max_drop=0.0)})})


def push_scored(registry: Registry, step: int, accuracy: float) -> str:
    """A version with its report; its digest."""
    version = push_guidance(registry, guidance_record(step)).digest
    attach_report(registry, version, "stage-b", {"epochs": [{"accuracy": 0.0}, {"accuracy": accuracy}]})
    return version


def promote_guidance(registry: Registry, version: str, tmp_path: Path) -> None:
    promote(registry, version, ALIAS, RULE, policy="f" * 64, cache=tmp_path / "cache")


def test_what_comes_back_is_what_went_in(registry: Registry) -> None:
    version = push_guidance(registry, guidance_record(1))
    assert push_guidance(registry, guidance_record(1)) == version
    assert (version.mission, version.step) == (MISSION, 1)
    assert json.loads(version.record) == json.loads(guidance_record(1))
    assert version.contract == mission_digests(MISSION)
    push_guidance(registry, guidance_record(0))
    push_guidance(registry, guidance_record(0, "another mission"))
    assert [found.step for found in guidance_versions(registry, MISSION)] == [0, 1]
    assert len(guidance_versions(registry)) == 3


def test_the_services_own_record_is_one(registry: Registry) -> None:
    from service.guidance.guidance import first_version
    from service.guidance.record import guidance_of, record_of
    from vqc.missions import mission_named

    first = first_version(mission_named(MISSION), ["无需安装时不看挡风板"])
    version = push_guidance(registry, json.dumps(record_of(first)).encode())
    assert version.guidance == first.digest
    assert guidance_of(json.loads(version.record)) == first


def test_an_edited_record_is_refused(registry: Registry) -> None:
    with pytest.raises(InvalidValue, match=r"guidance\.version"):
        push_guidance(registry, guidance_record().replace("规则0".encode(), "规则1".encode()))
    for content in (b"", b"[]", b'{"mission": 1}'):
        with pytest.raises(InvalidValue, match="guidance"):
            push_guidance(registry, content)
    assert guidance_versions(registry) == []


def test_it_is_promoted_by_its_own_rules_and_rolled_back(registry: Registry, tmp_path: Path) -> None:
    first, better, worse = (push_scored(registry, step, score) for step, score in enumerate((0.8, 0.9, 0.85)))
    promote_guidance(registry, first, tmp_path)
    promote_guidance(registry, better, tmp_path)
    with pytest.raises(PromotionRefused, match="0.05 below the active version's 0.9"):
        promote_guidance(registry, worse, tmp_path)
    assert guidance_version(registry, ALIAS).digest == better
    assert rollback(registry, ALIAS).version == first
    with pytest.raises(NothingToRollBackTo):
        rollback(registry, ALIAS)


def test_guidance_written_for_other_prompts_is_refused(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = push_scored(registry, 0, 0.8)
    monkeypatch.setattr(
        "registry.gates.examine.contract_digests", lambda: contract_digests() | {"prompts/telecom": "0" * 64}
    )
    with pytest.raises(PromotionRefused, match="another prompts/telecom"):
        promote_guidance(registry, version, tmp_path)


def test_models_and_guidance_do_not_mix(registry: Registry, push: Push, tmp_path: Path) -> None:
    model, guidance = push(1, GOOD), push_scored(registry, 0, 0.8)
    for version, alias in ((model, ALIAS), (guidance, "champion")):
        with pytest.raises(InvalidValue):
            promote(registry, version, alias, Rule(), policy="", cache=tmp_path)
        with pytest.raises(InvalidValue, match="is for guidance"):
            registry.move(alias, version, expected=None)
    other = push_guidance(registry, guidance_record(0, "another mission")).digest
    with pytest.raises(InvalidValue, match="guidance/another mission"):
        promote(registry, other, ALIAS, Rule(), policy="", cache=tmp_path)
    with pytest.raises(InvalidValue, match="must be guidance"):
        guidance_version(registry, model)
    with pytest.raises(Corrupt, match="a model"):
        registry.version(guidance)


def test_what_is_listed_of_models_has_no_guidance_in_it(registry: Registry, push: Push, tmp_path: Path) -> None:
    model, guidance = push(1, GOOD), push_scored(registry, 0, 0.8)
    promote_guidance(registry, guidance, tmp_path)
    registry.move("champion", model, expected=None)
    assert [version.digest for version in registry.versions()] == [model]
    assert registry.aliases() == {"champion": model}
    registry.gc()
    assert guidance_version(registry, ALIAS).digest == guidance


def test_a_flipped_byte_is_refused(registry: Registry, tmp_path: Path) -> None:
    version = push_scored(registry, 0, 0.8)
    for blob in (tmp_path / "registry/blobs/sha256").iterdir():
        content = blob.read_bytes()
        if "规则".encode() in content:
            blob.chmod(0o644)
            blob.write_bytes(content.replace("规则".encode(), "规划".encode()))
    with pytest.raises(Corrupt):
        guidance_version(registry, version)
