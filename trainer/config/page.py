"""Generates the page of all training keys: ``python -m trainer.config.page > docs/training-keys.md``."""

from __future__ import annotations

from trainer.config.document import documented_keys

HEAD = """\
# Training keys

Every key of a training configuration. `make docs` generates this page from the schema in `trainer/config/`.

| key | type | default | meaning |
|---|---|---|---|
"""


def keys_page() -> str:
    """Markdown: one row per key, in the schema's order."""
    keys = documented_keys()
    rows = (f"| `{key.key}` | {_cell(key.type)} | {_cell(key.default)} | {_cell(key.description)} |" for key in keys)
    return HEAD + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    print(keys_page(), end="")
