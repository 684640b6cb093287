"""Scenario files and their errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from loadtest.load.scenario import Scenario, read_scenario, scenario_of
from vqc.errors import InvalidValue

SCENARIOS = sorted((Path(__file__).parents[4] / "loadtest" / "scenarios").glob("*.yaml"))
CAPTIONS = {"mix": [{"task": "caption"}]}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_that_ships_is_valid(path: Path) -> None:
    assert read_scenario(path).mix


def test_the_defaults_are_a_scenario_that_reads_back() -> None:
    scenario = scenario_of(CAPTIONS, "here")
    assert Scenario.model_validate(yaml.safe_load(yaml.safe_dump(scenario.model_dump(mode="json")))) == scenario


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 3}, "rate: 3 is not valid; an unknown key"),
        ({"rates_per_s": [0]}, "rates_per_s.0: 0 is not valid; Input should be greater than 0"),
        ({"mix": []}, "mix"),
        ({"mix": [{"task": "captions"}]}, "'caption', 'stage-a', 'stage-b'"),
        ({"mix": [{"task": "stage-a", "mission": "挡风板"}]}, "did you mean '挡风板安装检查'"),
        ({"mix": [{"task": "caption"}, {"task": "caption"}]}, "must differ"),
        ({"find": True}, "find needs an slo"),
        ({"mix": [{"task": "stage-b", "slo": {"ms": 1, "of": "first_object"}}]}, "a ticket has no first object"),
        ({"photos": {"width": 10}}, "photos.width: 10"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_valid(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValue, match=message.replace("(", r"\(")):
        scenario_of(CAPTIONS | change, "here")


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("{")
    with pytest.raises(InvalidValue, match="must be a readable YAML file"):
        read_scenario(path)
