"""A small data set on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.training_records import WriteRecords


@pytest.fixture
def records(tmp_path: Path) -> WriteRecords:
    """Writes records (dicts, or raw lines) beside two photos of 128 × 96 px and gives the file's path."""
    noise = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(noise.integers(0, 255, (96, 128, 3), dtype=np.uint8)).save(tmp_path / name)

    def write(*items: dict[str, object] | str) -> Path:
        lines = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in items]
        path = tmp_path / "data.jsonl"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    return write
