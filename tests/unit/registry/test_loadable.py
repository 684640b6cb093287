"""Parts that transformers or vLLM would not accept, and bases that no engine could serve an adapter on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry import open_registry
from registry.checkpoint import read_checkpoint
from registry.errors import NotACheckpoint
from registry.guidance import push_guidance
from tests.support.registry_models import CONFIG, write_adapter, write_model
from vqc.contract import digest
from vqc.errors import InvalidValue


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", '{"model": {}}'),
        ("tokenizer.json", '{"model": {"type": "Other"}}'),
        ("tokenizer.json", '\ufeff{"model": {"type": "BPE"}}'),
        ("chat_template.jinja", " \n"),
        ("generation_config.json", "[]"),
        ("config.json", json.dumps({**CONFIG, "vision_config": []})),
        ("config.json", json.dumps({**CONFIG, "text_config": None})),
        ("config.json", "\ufeff" + json.dumps(CONFIG)),
    ],
)
def test_a_part_that_its_reader_would_not_accept_is_refused(tmp_path: Path, name: str, content: str) -> None:
    directory = write_model(tmp_path / "m")
    (directory / name).write_text(content, "utf-8")
    with pytest.raises(NotACheckpoint):
        read_checkpoint(directory)


def test_the_base_is_a_model(tmp_path: Path) -> None:
    registry = open_registry(tmp_path / "r")
    registry.push(write_model(tmp_path / "m"), alias="v1")
    registry.push(write_adapter(tmp_path / "a"), base="v1", alias="lora")
    rest = {"mission": "x", "rules": [], "step": 1}
    guidance = push_guidance(registry, json.dumps({**rest, "version": digest(rest)}).encode()).digest
    other = write_adapter(tmp_path / "b")
    for base in ("lora", guidance):
        with pytest.raises(InvalidValue, match="must be a model"):
            registry.push(other, base=base)
