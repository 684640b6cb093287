"""A configuration as dotted keys, without the keys that have their default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from trainer.config import TrainConfig, config_from

_LEAST: dict[str, object] = {
    "model": {"model": ""},
    "training": {"output_dir": ""},
    "rlhf": {"rlhf_type": "gkd"},
    "custom": {"train_jsonl": ""},
}
_ALWAYS = ("model.model", "training.output_dir", "custom.train_jsonl", "rlhf.rlhf_type", "deepspeed.enabled")


def non_default_values(config: TrainConfig) -> dict[str, object]:
    """The values of a configuration that differ from the defaults, by dotted key; tuples as lists."""
    return {key: value for key, value in _flat(config.model_dump(mode="json")) if not is_default(key, value)}


def is_default(key: str, value: object) -> bool:
    """Whether a configuration without the key has this value."""
    if value is None or key == "deepspeed.enabled":
        return not value
    return key not in _ALWAYS and key in _defaults() and _as_list(value) == _defaults()[key]


def nest(flat: Mapping[str, object]) -> dict[str, object]:
    """The keys in their sections, in the schema's order; keys with their default are omitted."""
    tree: dict[str, Any] = {name: {} for name in TrainConfig.model_fields}
    for key, value in flat.items():
        if is_default(key, value):
            continue
        *sections, name = key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
    return {name: value for name, value in tree.items() if value != {}}


@cache
def _defaults() -> dict[str, object]:
    return dict(_flat(config_from(_LEAST).model_dump(mode="json")))


def _flat(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _as_list(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
