"""The policy file: the shipped one loads, a mistyped one says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.gates.policy import read_policy
from vqc.errors import InvalidValue

SHIPPED = Path(__file__).parents[4] / "configs" / "registry_policy.yaml"


def test_the_shipped_policy_demands_what_the_documentation_says() -> None:
    policy, digest = read_policy(SHIPPED)
    assert set(policy.models) == {"champion", "candidate"}
    champion = policy.models["champion"]
    assert champion.contract == "required"
    assert set(champion.reports) == {"evaluation", "smoke-serve"}
    assert champion.reports["smoke-serve"].metrics["disagreeing"].max == 0
    assert policy.guidance is not None
    assert len(digest) == 64


def test_keys_are_found_beside_the_policy(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("models: {champion: {signature: {keys: [keys/a.pub, /b.pub]}}}")
    signature = read_policy(file)[0].models["champion"].signature
    assert signature is not None
    assert signature.keys == (tmp_path / "keys/a.pub", Path("/b.pub"))


@pytest.mark.parametrize(
    ("text", "field", "valid"),
    [
        ("models: {}", "models", "at least 1"),
        ("[]", "policy", "valid dictionary"),
        ("models: {a: {report: {}}}", "models.a.report", "contract, reports, signature"),
        ("modells: {a: {}}", "models", "required"),
        ("guidance: {signature: {keys: [a]}}\nmodels: {a: {}}", "guidance.signature", "contract, reports"),
        ("models: {a: {reports: {e: {metric: {}}}}}", "models.a.reports.e.metric", "metrics, same"),
        ("models: {a: {reports: {e: {metrics: {f: {mn: 1}}}}}}", "models.a.reports.e.metrics.f.mn", "min, max"),
        ("models: {a: {reports: {e: {metrics: {f: {}}}}}}", "metrics.f", "at least one of min"),
        ("models: {a: {reports: {e: {metrics: {f: {max_drop: -1}}}}}}", "max_drop", "greater than or equal to 0"),
        ("models: {a: {reports: {e: {metrics: {f: {min: .nan}}}}}}", "min", "finite"),
        ("models: {a: {reports: {E!: {}}}}", "models.a.reports", "pattern"),
        ("models: {a: {signature: {keys: []}}}", "signature.keys", "at least 1"),
        ("models: {a: {contract: maybe}}", "models.a.contract", "when_named"),
        ("models: [", "policy", "readable YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, field: str, valid: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(InvalidValue) as caught:
        read_policy(file)
    assert field in caught.value.field
    assert valid in caught.value.valid


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"nowhere\.yaml"):
        read_policy(tmp_path / "nowhere.yaml")
