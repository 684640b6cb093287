"""The list of the reference document's keys is complete and true."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from trainer.config import ConfigError, TrainConfig, load_config
from trainer.config.legacy import ALIASES, REFUSED

ROOT = Path(__file__).parents[4]
DOCUMENT: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parent / "reference_keys.yaml").read_text("utf-8")
)
ITEM = re.compile(
    r"- \*\*`(?P<key>[^`]+)`\*\* \((?P<section>[^)]+)\): (?:`(?P<test>tests/[^`]+)`\.|replaced by (?P<instead>.+))"
)
PAGE = re.sub(r"\n  +", " ", (ROOT / "docs/reference-keys.md").read_text("utf-8"))
TABLE = [match for line in PAGE.splitlines() if (match := ITEM.match(line))]
WORKS = {match["key"]: match["test"] for match in TABLE if match["test"]}
REPLACED = {match["key"]: match["instead"] for match in TABLE if not match["test"]}
REST = {"model": {"model": "m"}, "training": {"output_dir": "o"}, "custom": {"train_jsonl": "t.jsonl"}}


def keys(tree: Any, prefix: str = "") -> Iterator[str]:
    """The dotted leaves of a block; an operation's parameters under its name."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from keys(value, f"{key}.")
        elif name == "ops":
            for op in value:
                yield from keys(op.get("params", {}), f"{key}[{op['name']}].params.")
        else:
            yield key


def complete(*trees: dict[str, Any]) -> dict[str, Any]:
    """A mapping that a run could start from, with these blocks laid over one another."""
    whole: dict[str, Any] = {}
    for tree in (REST, *trees):
        for section, value in tree.items():
            whole[section] = {**whole.get(section, {}), **value} if isinstance(value, dict) else value
    return whole


@cache
def functions_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_no_key_of_the_document_is_missing_and_none_is_made_up() -> None:
    asked = {key for block in DOCUMENT["blocks"] for key in keys(block["yaml"])}
    asked |= {item["key"] for item in DOCUMENT["named"]}
    assert asked == WORKS.keys() | REPLACED.keys()
    assert len(TABLE) == len(asked), "a key is listed twice"


@pytest.mark.parametrize("block", DOCUMENT["blocks"], ids=lambda block: block["section"][:40])
def test_what_works_loads_with_the_documents_values(block: dict[str, Any], tmp_path: Path) -> None:
    tree = complete(block["yaml"])
    if block["section"] in ("LM-head KD Weight", "Vision/Aligner Feature KD (optional)"):  # overlays of a recipe
        gkd = next(item["yaml"]["rlhf"] for item in DOCUMENT["blocks"] if item["section"].startswith("Forward-only"))
        tree = complete(
            {"rlhf": gkd | block["yaml"].get("rlhf", {}), "tuner": {"freeze_aligner": False}},
            {"custom": tree["custom"]},
        )
    path = tmp_path / "block.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), "utf-8")
    config = load_config(path)
    for key in keys(block["yaml"]):
        if key in WORKS and "[" not in key:
            assert value_of(config, ALIASES.get(key, key)) == as_read(block["yaml"], key)


@pytest.mark.parametrize("key", [item["key"] for item in DOCUMENT["named"]])
def test_what_only_the_prose_names_loads_or_is_refused_with_a_sentence(key: str, tmp_path: Path) -> None:
    values = {
        "use_dora": True,
        "bypass_prob": 0.5,
        "emit_norm": "norm1000",
        "max_model_len": 4096,
        "train_jsonl": "t.jsonl",
    }
    *sections, name = key.split(".")
    tree: dict[str, Any] = {name: values.get(name, 32)}
    for section in reversed(sections):
        tree = {section: tree}
    if "augmentation" in sections:
        tree["custom"]["augmentation"] |= {"ops": [{"name": "hflip"}]}
    path = tmp_path / "key.yaml"
    path.write_text(yaml.safe_dump(complete(tree)), "utf-8")
    if key in REFUSED:
        with pytest.raises(ConfigError, match="is not used by this trainer"):
            load_config(path)
    else:
        assert value_of(load_config(path), ALIASES.get(key, key)) == values.get(name, 32)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_every_test_that_the_documentation_names_exists(page: Path) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text("utf-8")):
        assert name in functions_in(path), f"{path}::{name}"


def test_what_is_replaced_says_by_what() -> None:
    assert REPLACED.keys() == {"data.dataset", "model.max_model_len", "training.lazy_tokenize", "custom.user_prompt"}
    assert all(REPLACED.values())


def value_of(config: TrainConfig, key: str) -> Any:
    node: Any = config
    for name in key.split("."):
        node = getattr(node, name)
    return list(node) if isinstance(node, tuple) else node


def as_read(tree: Any, key: str) -> Any:
    for name in key.split("."):
        tree = tree[name]
    return tree
