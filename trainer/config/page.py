"""Generates the page of all training keys: ``python -m trainer.config.page > docs/training-keys.md``."""

from __future__ import annotations

import textwrap

from trainer.config.document import KeyDoc, documented_keys

HEAD = """\
# Training keys

Every key of a training configuration, with its type and default. `make docs` generates this page from the schema in
`trainer/config/`.

"""


def keys_page() -> str:
    """Markdown: one item per key, in the schema's order, in lines of at most 120 characters."""
    return HEAD + "".join(f"{_item(key)}\n" for key in documented_keys())


def _item(key: KeyDoc) -> str:
    default = {"required": "required", "-": "no default"}.get(key.default, f"default {key.default}")
    text = f"- **`{key.key}`** ({key.type}; {default}): {key.description}"
    return textwrap.fill(text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    print(keys_page(), end="")
