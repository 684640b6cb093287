"""The comparison on the demo shift is fair, and its table says what the runs said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import anchoring
from trainer.config import TrainConfig, load_config

CONFIGS = Path(__file__).parents[3] / "configs"


def arm(name: str) -> TrainConfig:
    return load_config(CONFIGS / f"{anchoring.ARMS[name]}.yaml")


@pytest.mark.parametrize("name", ["GKD", "GKD + visual"])
def test_the_ways_differ_in_the_teacher_alone(name: str) -> None:
    plain, taught = arm("SFT"), arm(name)
    assert taught.rlhf is not None
    assert (taught.rlhf.lmbda, taught.rlhf.seq_kd) == (0, False)
    training = taught.training.model_copy(update={"output_dir": plain.training.output_dir})
    custom = taught.custom.model_copy(update={"visual_kd": None})
    assert taught.model_copy(update={"rlhf": None, "training": training, "custom": custom}) == plain
    assert (taught.custom.visual_kd is not None) == (name == "GKD + visual")


def test_the_table_has_means_and_deviations_over_seeds() -> None:
    lines = [
        {"arm": "before", "seed": 0, "old_val_loss": 0.25},
        {"arm": "SFT", "seed": 17, "old_val_loss": 0.5},
        {"arm": "SFT", "seed": 18, "old_val_loss": 0.7},
    ]
    assert anchoring.table(lines).splitlines() == [
        "| | seeds | old_val_loss |",
        "|---|---|---|",
        "| before | 1 | 0.250 ± 0.000 |",
        "| SFT | 2 | 0.600 ± 0.100 |",
    ]
