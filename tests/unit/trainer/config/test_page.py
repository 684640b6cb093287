"""The committed page of training keys is the schema's."""

from pathlib import Path

from trainer.config.page import keys_page

COMMITTED = Path(__file__).parents[4] / "docs" / "training-keys.md"


def test_the_committed_page_is_fresh():
    assert COMMITTED.read_text("utf-8") == keys_page(), "run `make docs`"
