"""``trainer.cli`` with a head that takes a few positions at a time, as the head of a real vocabulary does in long answers."""

from __future__ import annotations

from trainer.cli import main
from trainer.model.loss import next_token_loss

LOGITS = 4_000

if __name__ == "__main__":
    assert next_token_loss.__kwdefaults__ is not None
    next_token_loss.__kwdefaults__["at_once"] = LOGITS
    main()
