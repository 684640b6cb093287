"""The sample tickets of the product: ``python -m scenes.sample_tickets OUT``, one JSONL of Stage-A lines.

Some labels are wrong and some failures show in no line: ``true_label`` and ``hidden`` mark them, for reports only.
``scenes.write.write_tickets`` draws such tickets with their photos.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from scenes.rules import RULES
from scenes.tickets import TicketMix, TicketPlan
from scenes.write import planned_tickets
from vqc.summary import render
from vqc.verdict import Verdict

MISSIONS = ("挡风板安装检查", "BBU接地线检查")
COUNT = 400
SEED = 20261122
MIX = TicketMix(fail=0.4, hidden=0.1, noise=0.06)

_FILED = {Verdict.PASS: "pass", Verdict.FAIL: "fail"}


def write_sample_tickets(
    out: Path, *, count: int = COUNT, seed: int = SEED, missions: Sequence[str] = MISSIONS, mix: TicketMix = MIX
) -> Path:
    """Writes ``count`` tickets, alternating missions, to ``out/stage_a.jsonl`` and returns its path.

    Raises:
        InvalidValue: tickets of a mission cannot be drawn.
    """
    out.mkdir(parents=True, exist_ok=True)
    tickets = planned_tickets(seed, range(count), missions=missions, mix=mix)
    path = out / "stage_a.jsonl"
    path.write_text("".join(json.dumps(_line(ticket), ensure_ascii=False) + "\n" for ticket in tickets), "utf-8")
    return path


def _line(ticket: TicketPlan) -> dict[str, object]:
    return {
        "group_id": ticket.group_id,
        "mission": ticket.mission,
        "label": _FILED[ticket.label],
        "per_image": {f"image_{n}": render(plan.summary) for n, plan in enumerate(ticket.photos, start=1)},
        "true_label": _FILED[ticket.true_label],
        "hidden": ticket.hidden,
    }


def main() -> None:
    """Writes the tickets to the directory given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m scenes.sample_tickets", description=__doc__)
    parser.add_argument("out", type=Path, help="output directory, created if missing")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--mission", action="append", choices=list(RULES), help=f"repeatable; default: {', '.join(MISSIONS)}"
    )
    options = parser.parse_args()
    path = write_sample_tickets(
        options.out, count=options.count, seed=options.seed, missions=options.mission or MISSIONS
    )
    print(f"{path}  {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
