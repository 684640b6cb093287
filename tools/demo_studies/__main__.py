"""Draws the data, makes the runs, several at a time, and prints a table of each study.

Runs are made seed by seed, so that what is there when the time is up compares all arms. A run that fails is told and
costs no other; one that is in ``OUT/results.jsonl`` is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tools.demo_studies import anchoring, codec, one
from tools.demo_studies.data import Data, draw
from tools.demo_studies.runs import BEFORE
from tools.demo_studies.table import table

ARMS = {"codec": tuple(codec.ARMS), **dict.fromkeys(anchoring.DOMAINS, tuple(anchoring.ARMS))}
PASSED = ("root", "steps", "batch", "held_out", "tickets", "workers")
"""The options that a run's own process gets too."""

Named = tuple[str, str, int]
"""Study, arm, seed."""


def main(arguments: list[str]) -> None:
    """The command."""
    command = argparse.ArgumentParser(prog="python -m tools.demo_studies", description=__doc__, parents=[one.parser()])
    command.add_argument("--studies", nargs="+", choices=ARMS, default=list(ARMS))
    command.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19])
    command.add_argument("--photos", type=int, default=8000, help="scenes to learn from")
    command.add_argument("--jobs", type=int, default=1, help="runs at a time")
    command.add_argument("--limit", type=float, default=86400, help="seconds for everything")
    command.add_argument("--out", type=Path, default=Path("output/demo_studies"), help="results.jsonl and tables.md")
    asked = command.parse_args(arguments)
    until = time.monotonic() + asked.limit
    data = Data(root=asked.root)
    draw(
        data, photos=asked.photos, held_out=asked.held_out, tickets=asked.tickets, workers=len(os.sched_getaffinity(0))
    )
    _say(until, asked.limit, "data is there")
    asked.out.mkdir(parents=True, exist_ok=True)
    results = Results(asked.out)
    missing = [run for run in planned(asked.studies, asked.seeds) if run not in results.known]
    with ThreadPoolExecutor(asked.jobs) as pool:
        waiting = {pool.submit(_made, run, asked, until): run for run in missing}
        for done in as_completed(waiting):
            line = done.result()
            told = results.add(line) if isinstance(line, dict) else line
            _say(until, asked.limit, f"{' '.join(map(str, waiting[done]))}: {told}")
    print(results.tables(asked.studies))
    if any(run not in results.known for run in missing):
        raise SystemExit("some runs are missing, see above")


def planned(studies: list[str], seeds: list[int]) -> list[Named]:
    """The runs in the order in which they are made."""
    before = [(study, BEFORE, 0) for study in studies]
    return [*((study, arm, seed) for seed in seeds[:1] for study in studies for arm in ARMS[study]), *before] + [
        (study, arm, seed) for seed in seeds[1:] for study in studies for arm in ARMS[study]
    ]


class Results:
    """The lines of ``results.jsonl`` in a directory; ``tables.md`` follows each new one."""

    def __init__(self, directory: Path) -> None:
        self._path, self._shown = directory / "results.jsonl", directory / "tables.md"
        lines = self._path.read_text("utf-8").splitlines() if self._path.exists() else []
        self._lines: list[dict[str, Any]] = [json.loads(line) for line in lines]

    @property
    def known(self) -> set[Named]:
        """The runs that there are results of."""
        return {(line["study"], line["arm"], line["seed"]) for line in self._lines}

    def add(self, line: dict[str, Any]) -> str:
        """Writes one run's line; comes back as a sentence for the log."""
        self._lines.append(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._shown.write_text(self.tables(list(ARMS)) + "\n", "utf-8")
        return f"{line['seconds']} s, " + ", ".join(f"{name} {value:.3f}" for name, value in line["scores"].items())

    def tables(self, studies: list[str]) -> str:
        """Markdown: a table for each study."""
        return "\n\n".join(
            f"{study}\n\n" + table((BEFORE, *ARMS[study]), [line for line in self._lines if line["study"] == study])
            for study in studies
        )


def _made(run: Named, asked: argparse.Namespace, until: float) -> dict[str, Any] | str:
    """The run's line, or why there is none."""
    left = until - time.monotonic()
    if left < 1:
        return "no time left"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in vars(asked).items() if name in PASSED and value]
    command = [sys.executable, "-m", "tools.demo_studies.one", *map(str, run), *options]
    log = asked.root / "logs" / f"{'-'.join(map(str, run)).replace(' ', '_')}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as said:
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=said, text=True, timeout=left, check=False)
        except subprocess.TimeoutExpired:
            return "stopped: the time is up"
    if done.returncode:
        return f"failed ({done.returncode}): " + " | ".join(log.read_text("utf-8").splitlines()[-4:])
    return json.loads(done.stdout.splitlines()[-1])


def _say(until: float, limit: float, what: str) -> None:
    print(f"== {limit - (until - time.monotonic()):.0f} s: {what}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
