"""Scores a model directory on held-out scenes and on tickets with photos: ``judge.py MODEL SCENES TICKETS``.

TICKETS is the number of tickets of each mission; 40 % fail visibly and 10 % by a flaw that no label names.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from scenes.rules import RULES
from scenes.tickets import TicketMix
from scenes.write import write_dataset, write_tickets
from trainer.evaluation.evaluate import load_labelled, score_answers
from trainer.evaluation.local import LocalModel

HELD_OUT = 2
"""Seed of the scenes; no recipe trains on it."""


def main() -> None:
    """Prints the verdicts of each mission, then the scores of the scenes."""
    model, scenes, tickets = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    out, workers = Path("output/held_out"), os.cpu_count() or 1
    filed = write_tickets(
        out / "tickets", seed=HELD_OUT, missions=tuple(RULES), count=tickets * len(RULES),
        mix=TicketMix(fail=0.4, hidden=0.1), workers=workers,
    )  # fmt: skip
    photos = write_dataset(out, seed=HELD_OUT, count=scenes, workers=workers)
    answerer = LocalModel(model, batch_size=100, max_new_tokens=700)
    asked = [replace(ticket, summaries=()) for ticket in load_labelled(filed)[1]]
    right: Counter[str] = Counter()
    for ticket, outcome in zip(asked, answerer.verdicts(asked), strict=True):
        right[ticket.mission.name] += outcome.answer is not None and outcome.answer.verdict is ticket.verdict
    for mission in RULES:
        print(f"{mission}: {right[mission]} of {tickets} right", flush=True)
    print(score_answers(answerer, load_labelled(photos)[0], progress=False).table())


if __name__ == "__main__":
    main()
