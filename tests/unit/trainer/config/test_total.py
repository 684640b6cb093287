"""Loading is total: any mapping gives a configuration or a ``ConfigError``, never another exception."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.config import ConfigError, documented_keys, load_config

KEYS = [doc.key.split("[")[0] for doc in documented_keys()]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 3000)
    | st.floats(allow_nan=False)
    | st.sampled_from(["lora", "full", "x"])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner), max_leaves=6
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8), st.booleans())
def test_any_mapping_gives_a_config_or_a_config_error(tmp_path: Path, keys: dict[str, object], complete: bool) -> None:
    tree: dict[str, object] = {}
    given_keys = {"model.model": "m", "training.output_dir": "o", "custom.train_jsonl": "t"} if complete else {}
    for key, value in {**given_keys, **keys}.items():
        node = tree
        *sections, name = key.split(".")
        for section in sections:
            below = node.setdefault(section, {})
            if not isinstance(below, dict):
                break
            node = below
        node[name] = value
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), "utf-8")
    with suppress(ConfigError):
        load_config(path)
