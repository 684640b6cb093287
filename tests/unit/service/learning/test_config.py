from pathlib import Path

import pytest
import yaml

from service.judging.sampler import EvidenceKind
from service.learning.config import load_config
from vqc.errors import InvalidValue

SHIPPED = Path("configs/stage_b_training_free.yaml")


def test_the_shipped_configuration_loads_and_names_files_that_are_there():
    config = load_config(SHIPPED, Path("elsewhere"))
    assert config.output.folder == Path("elsewhere/demo")
    assert config.stage_a_paths[0].is_file()
    assert config.sampler_of().sample_count == 12
    assert config.plan_of().epochs == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sample": {}}, "sample: {} is not valid; unknown key; nearest: "),
        ({"reflection": {"batchsize": 3}}, "nearest: reflection.batch_size"),
        ({"evidence": "text"}, "evidence"),
        ({"runner": {"epochs": 0}}, "runner.epochs"),
        ({"seed": "x"}, "seed"),
        ({"stage_a_paths": []}, "stage_a_paths"),
        ({"evaluation": {"holdout": 0.8, "calibrate": 0.4}}, "together exceed 1"),
        ({"sampler": {"grid": []}}, "sampler.grid"),
        ({"sampler": {"grid": [{"temperature": 3}]}}, "temperature"),
        ({"sampler": {"grid": [{"temperature": 1}], "adaptive": 1.0}}, "sampler.adaptive"),
        ({"sampler": {"grid": [{"temperature": 1}], "samples_per_decode": 0}}, "samples_per_decode"),
        ({"reflection": {"gate": {"min_rer": 0}}}, "gate.min_rer"),
        ({"output": {"run_name": "a/b"}}, "output.run_name"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path, change, words):
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(SHIPPED.read_text("utf-8")) | change), "utf-8")
    with pytest.raises(InvalidValue) as caught:
        load_config(path)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "- a", ""])
def test_a_file_that_is_no_mapping_is_rejected(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InvalidValue, match=r"c\.yaml"):
        load_config(tmp_path / "c.yaml")
    with pytest.raises(InvalidValue, match="config"):
        load_config(tmp_path / "none.yaml")


def test_everything_but_files_and_grid_has_a_default(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("{stage_a_paths: [a, b], sampler: {grid: [{temperature: 0.5}]}}")
    config = load_config(path)
    assert config.evidence is EvidenceKind.SUMMARIES
    assert [str(one) for one in config.stage_a_paths] == ["a", "b"]
    assert config.rule_of().gate.min_rer == 0.1
