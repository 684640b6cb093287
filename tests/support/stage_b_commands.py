"""``vqc stage-b`` as a user runs it: the shipped configuration and the environment of the command."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "stage_b_training_free.yaml"


def environment(**more) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("VQC_", "SOURCE_DATE"))}
    return clean | {"VQC_ENGINE": "scripted", "PYTHONPATH": str(ROOT)} | more
