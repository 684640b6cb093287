"""What the trainer's laws are tried on, made once for all of them; nothing here is changed by a test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import tiny

if TYPE_CHECKING:
    from trainer.model.encode import Encoder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("laws") / "tiny")


@pytest.fixture(scope="session")
def jsonl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.data(tmp_path_factory.mktemp("laws_data") / "photos", 16)


@pytest.fixture(scope="session")
def encoder(checkpoint: Path) -> Encoder:
    from trainer.model.encode import Encoder

    return Encoder.load(checkpoint)
