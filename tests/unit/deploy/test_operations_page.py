"""docs/operations.md names tests, rules, alerts and files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "operations.md").read_text()
RULES = [
    rule
    for path in (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]


def test_what_a_drill_is_shown_by_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    assert len(named) >= 6
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_files_that_it_names_are_there() -> None:
    named = {*re.findall(r"`(deploy/[\w./-]+)`", PAGE)} | {
        f"docs/{link}" for link in re.findall(r"\]\(([\w./-]+)", PAGE)
    }
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_objectives_and_alerts_are_those_of_the_rules() -> None:
    records, alerts = ({rule[kind] for rule in RULES if kind in rule} for kind in ("record", "alert"))
    assert set(re.findall(r"`(vqc:[\w:]+)`", PAGE)) <= records
    assert set(re.findall(r"`(Vqc\w+)`", PAGE)) <= alerts
