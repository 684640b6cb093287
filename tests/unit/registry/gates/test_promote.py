"""Promotion: each refusal with its reason, all of them at once, the record, the way back, and the race for an alias."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from registry import AliasMoved, Registry, UnknownVersion
from registry.gates import examine as gates
from registry.gates.errors import NeverActive, NothingToRollBackTo, PromotionRefused
from registry.gates.examine import examine
from registry.gates.policy import ModelRule, ReportRule, SignatureRule
from registry.gates.promote import promote, rollback
from registry.gates.reports import PROMOTION_TYPE, attach_report
from registry.gates.signature import sign
from tests.support.promotion import GOOD, Push
from tests.support.signing_keys import key_pair
from vqc.contract import contract_digests, shared_digests
from vqc.errors import InvalidValue


class Desk:
    """Promotes to champion and says what came of it."""

    def __init__(self, registry: Registry, rule: ModelRule, cache: Path) -> None:
        self.registry = registry
        self.rule = rule
        self.cache = cache

    def promote(self, version: str, **more: Any) -> str | None:
        """The previous champion."""
        moved = promote(
            self.registry, version, "champion", self.rule, policy="f" * 64, cache=self.cache, actor="ann", **more
        )
        return moved.previous

    def findings(self, version: str) -> list[str]:
        """Every failed gate; nothing moved."""
        before = self.registry.aliases()
        with pytest.raises(PromotionRefused) as caught:
            self.promote(version)
        assert self.registry.aliases() == before
        assert self.registry.referrers(version, PROMOTION_TYPE) == []
        found = [f"{one.gate}: {one.message}" for one in caught.value.findings]
        assert all(line in str(caught.value) for line in found)
        return found

    @property
    def champion(self) -> str:
        return self.registry.resolve("champion")


@pytest.fixture
def desk(registry: Registry, rule: ModelRule, tmp_path: Path) -> Desk:
    return Desk(registry, rule, tmp_path / "cache")


def test_a_good_version_becomes_champion_and_the_record_says_why(desk: Desk, push: Push) -> None:
    first, second = push(1, GOOD), push(2, GOOD | {"f1_50_box": 0.595})
    assert desk.promote(first) is None
    assert desk.promote(second, reason="new photos") == first
    assert desk.champion == second
    (record,) = [referrer.json() for referrer in desk.registry.referrers(second, PROMOTION_TYPE)]
    assert isinstance(record, dict)
    (report,) = desk.registry.referrers(second, "application/vnd.vqc.report.evaluation.v1+json")
    assert record["previous"] == first
    assert (record["action"], record["actor"], record["reason"]) == ("promote", "ann", "new photos")
    assert record["reports"] == {"evaluation": report.digest}
    assert record["contract"] == contract_digests()
    assert record["policy"] == "f" * 64
    entry = desk.registry.audit()[-1]
    assert (entry.before, entry.after, entry.reason) == (first, second, "promote: new photos")


def test_promoting_the_champion_again_changes_nothing(desk: Desk, push: Push) -> None:
    first = push(1, GOOD)
    desk.promote(first)
    log = desk.registry.audit()
    assert desk.promote(first) == first
    assert desk.registry.audit() == log
    assert len(desk.registry.referrers(first, PROMOTION_TYPE)) == 1


def test_without_its_report_it_is_refused(desk: Desk, push: Push) -> None:
    assert desk.findings(push(1)) == [
        "evaluation: no such report is attached: `vqc-registry attach VERSION --type evaluation FILE`"
    ]


def test_below_a_threshold_it_is_refused(desk: Desk, push: Push) -> None:
    assert desk.findings(push(1, GOOD | {"malformed": 0.5})) == [
        "evaluation: malformed is 0.5; at most 0.02 is allowed"
    ]


def test_worse_than_the_champion_it_is_refused(desk: Desk, push: Push) -> None:
    desk.promote(push(1, GOOD))
    (found,) = desk.findings(push(2, GOOD | {"f1_50_box": 0.55}))
    assert "0.05 below the active version's 0.6; at most 0.01 below is allowed" in found


def test_the_newest_report_counts(desk: Desk, push: Push) -> None:
    version = push(1, GOOD | {"malformed": 0.5})
    attach_report(desk.registry, version, "evaluation", GOOD)
    desk.promote(version)
    attach_report(desk.registry, version, "evaluation", GOOD | {"malformed": 0.5})
    found = examine(desk.registry, version, "champion", desk.rule, desk.cache).findings
    assert [one.gate for one in found] == ["evaluation"]


def test_another_versions_report_does_not_count(desk: Desk, push: Push) -> None:
    other = push(2)
    assert desk.findings(push(1, GOOD | {"version": other})) == [
        f"evaluation: the report is about another version, {other}"
    ]
    own = push(3)
    attach_report(desk.registry, own, "evaluation", GOOD | {"version": own})
    assert desk.promote(own) is None


@pytest.mark.parametrize("part", sorted(part for part in contract_digests() if not part.startswith("mission/")))
def test_another_contract_is_refused_by_name(desk: Desk, push: Push, part: str) -> None:
    (found,) = desk.findings(push(1, GOOD, {part: "0" * 64}))
    assert (
        found == f"contract: it was made under another {part}: 000000000000…, running: {contract_digests()[part][:12]}…"
    )


def test_a_version_without_a_contract_passes_only_where_the_policy_says_so(desk: Desk, tmp_path: Path) -> None:
    from tests.support.registry_models import write_model

    version = desk.registry.push(write_model(tmp_path / "plain")).digest
    attach_report(desk.registry, version, "evaluation", GOOD)
    assert desk.findings(version)[0].startswith("contract: it declares no contract")
    desk.rule = desk.rule.model_copy(update={"contract": "when_named"})
    assert desk.promote(version) is None


def test_a_flipped_byte_is_refused(desk: Desk, push: Push, tmp_path: Path) -> None:
    version = push(1, GOOD)
    file = desk.registry.version(version).files[-1]
    blob = tmp_path / "registry/blobs/sha256" / file.digest[7:]
    blob.chmod(0o644)
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (found,) = desk.findings(version)
    assert found.startswith("bytes: ")
    assert file.title in found


def test_unsigned_it_is_refused_and_signed_it_passes(desk: Desk, push: Push, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "release")
    desk.rule = desk.rule.model_copy(update={"signature": SignatureRule(keys=(public,))})
    version = push(1, GOOD)
    assert desk.findings(version) == ["signature: it is not signed: `vqc-registry sign VERSION --key FILE`"]
    sign(desk.registry, version, desk.registry.materialise(version, desk.cache), private)
    assert desk.promote(version) is None


def test_everything_that_is_missing_is_said_at_once(desk: Desk, push: Push, tmp_path: Path) -> None:
    desk.promote(push(1, GOOD))
    _, public = key_pair(tmp_path, "release")
    reports = desk.rule.reports | {"smoke-serve": ReportRule()}
    desk.rule = desk.rule.model_copy(update={"signature": SignatureRule(keys=(public,)), "reports": reports})
    bad = {"f1_50_box": 0.1, "malformed": 0.5, "num_images": 7}
    found = desk.findings(push(2, bad, {"grammar": "0" * 64, "prompts/telecom": "1" * 64}))
    assert [line.split(":")[0] for line in found] == [
        *["signature", "contract", "contract"],
        *["evaluation"] * 5,  # below the least, above the most, other data, and worse in both
        "smoke-serve",
    ]


def test_looking_moves_nothing(desk: Desk, push: Push) -> None:
    found = examine(desk.registry, push(1, GOOD), "champion", desk.rule, desk.cache)
    assert found.findings == ()
    assert desk.registry.aliases() == {}


def test_who_moves_the_alias_meanwhile_wins(desk: Desk, push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (push(seed, GOOD) for seed in (1, 2, 3))
    desk.promote(first)

    def corruption(registry: Registry, digest: str) -> list[Any]:
        if digest == second:  # another promotion succeeds while its gates run
            monkeypatch.undo()
            desk.promote(third)
        return []

    monkeypatch.setattr(gates, "_corruption", corruption)
    with pytest.raises(AliasMoved):
        desk.promote(second)
    assert desk.champion == third
    assert desk.registry.referrers(second, PROMOTION_TYPE) == []


def test_rollback_goes_back_one_version_each_time(desk: Desk, push: Push) -> None:
    first, second, third = (push(seed, GOOD) for seed in (1, 2, 3))
    for version in (first, second, third):
        desk.promote(version)
    assert rollback(desk.registry, "champion", reason="complaints").version == second
    assert rollback(desk.registry, "champion").version == first
    with pytest.raises(NothingToRollBackTo):
        rollback(desk.registry, "champion")
    assert desk.champion == first
    assert [entry.reason for entry in desk.registry.audit() if entry.action == "move"][-2:] == [
        "rollback: complaints",
        "rollback",
    ]


def test_rollback_runs_no_gates_but_the_contracts(desk: Desk, push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = push(1, GOOD), push(2, GOOD)
    desk.promote(first)
    desk.promote(second)
    attach_report(desk.registry, first, "evaluation", GOOD | {"f1_50_box": 0.0})
    assert rollback(desk.registry, "champion").version == first
    desk.registry.move("champion", second, expected=first)
    changed = shared_digests() | {"grammar": "2" * 64}
    monkeypatch.setattr("vqc.contract.shared_digests", lambda: changed)
    with pytest.raises(PromotionRefused, match="another grammar"):
        rollback(desk.registry, "champion", to=first)
    assert desk.champion == second


def test_rollback_to_a_version_that_never_was_champion_is_refused(desk: Desk, push: Push) -> None:
    first, second, stranger = (push(seed, GOOD) for seed in (1, 2, 3))
    for version in (first, second):
        desk.promote(version)
    with pytest.raises(NeverActive):
        rollback(desk.registry, "champion", to=stranger)
    assert rollback(desk.registry, "champion", to=first).previous == second


def test_an_alias_that_was_moved_without_gates_rolls_back_by_the_log(desk: Desk, push: Push) -> None:
    first, second = push(1), push(2)
    desk.registry.move("champion", first, expected=None)
    desk.registry.move("champion", second, expected=first)
    assert rollback(desk.registry, "champion").version == first


def test_a_move_without_gates_after_a_promotion_counts_too(desk: Desk, push: Push) -> None:
    first, second, third = (push(seed, GOOD) for seed in (1, 2, 3))
    desk.promote(first)
    desk.promote(second)
    desk.registry.move("champion", third, expected=second)
    desk.registry.move("champion", second, expected=third)
    assert rollback(desk.registry, "champion").version == third


def test_a_registry_that_lost_its_log_rolls_back_by_the_record(
    desk: Desk, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = push(1, GOOD), push(2, GOOD)
    desk.promote(first)
    desk.promote(second)
    monkeypatch.setattr(desk.registry, "audit", list)
    assert rollback(desk.registry, "champion").version == first
    assert rollback(desk.registry, "champion", to=second).version == second
    with pytest.raises(NeverActive):
        rollback(desk.registry, "champion", to=push(3))


def test_the_version_before_survives_a_collection(desk: Desk, push: Push) -> None:
    first, second = push(1, GOOD), push(2, GOOD)
    desk.promote(first)
    desk.promote(second)
    desk.registry.gc()
    assert rollback(desk.registry, "champion").version == first
    desk.registry.verify("champion")


def test_an_alias_or_version_that_is_none_is_named(desk: Desk, push: Push) -> None:
    with pytest.raises(UnknownVersion, match="champion"):
        rollback(desk.registry, "champion")
    with pytest.raises(UnknownVersion, match="candidate"):
        desk.promote("candidate")


def test_a_report_that_is_none_is_an_error_and_no_pass(desk: Desk, push: Push) -> None:
    version = push(1)
    desk.registry.attach(version, "application/vnd.vqc.report.evaluation.v1+json", b'{"f1_50_box": NaN}')
    with pytest.raises(InvalidValue, match="NaN"):
        desk.promote(version)
