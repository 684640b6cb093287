"""The page of every training key: ``python -m trainer.config.page > docs/training-keys.md``."""

from __future__ import annotations

from trainer.config.document import documented_keys


def keys_page() -> str:
    """Markdown: one row per key, in the schema's order."""
    rows = (f"| `{doc.key}` | {_cell(doc.type)} | {_cell(doc.default)} | {_cell(doc.description)} |" for doc in documented_keys())
    head = "# Training keys\n\nMade by `make docs` from the schema in `trainer/config/`.\n\n| key | type | default | meaning |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    print(keys_page(), end="")
