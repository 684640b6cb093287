"""One run of a study in this process: ``python -m tools.demo_studies.one STUDY ARM SEED``; a JSON line on standard output."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools.demo_studies import anchoring, codec
from tools.demo_studies.data import Data
from tools.demo_studies.runs import Run, Sizes

SCORES: dict[str, Callable[[Run], dict[str, float]]] = {
    "codec": codec.scores,
    **dict.fromkeys(anchoring.DOMAINS, anchoring.scores),
}


def parser() -> argparse.ArgumentParser:
    """The options that say how large a run is."""
    sizes = argparse.ArgumentParser(add_help=False)
    sizes.add_argument("--root", type=Path, default=Path("output/demo_studies"), help="data and checkpoints")
    sizes.add_argument("--steps", type=int, help="of each run; default: as the configuration says")
    sizes.add_argument("--batch", type=int, help="samples of a step; default: as the configuration says")
    sizes.add_argument("--held-out", type=int, default=300, help="scenes to score on")
    sizes.add_argument("--tickets", type=int, default=200, help="tickets to score on")
    sizes.add_argument("--workers", type=int, default=1, help="loading processes of a run")
    return sizes


def sizes(asked: argparse.Namespace) -> Sizes:
    """The sizes among the options."""
    return Sizes(
        steps=asked.steps,
        batch=asked.batch,
        held_out=asked.held_out,
        tickets=asked.tickets,
        workers=asked.workers,
    )


def main(arguments: list[str]) -> None:
    """Makes the run. Whatever it says itself goes to standard error."""
    command = argparse.ArgumentParser(description=__doc__, parents=[parser()])
    command.add_argument("study", choices=SCORES)
    command.add_argument("arm")
    command.add_argument("seed", type=int)
    asked = command.parse_args(arguments)
    one = Run(study=asked.study, arm=asked.arm, seed=asked.seed, data=Data(root=asked.root), sizes=sizes(asked))
    began = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        found = SCORES[one.study](one)
    took = round(time.perf_counter() - began, 1)
    print(json.dumps({"study": one.study, "arm": one.arm, "seed": one.seed, "seconds": took, "scores": found}))


if __name__ == "__main__":
    main(sys.argv[1:])
