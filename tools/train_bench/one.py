"""One GPU: the trainer's variants and ms-swift by turns, the most telling first, each process under what is left of the time.

    python -m tools.train_bench.one --model DIR --work DIR --out DIR --limit SECONDS [--small] [PHASE…]

Phases: those of ``PHASES``, in the order given. Writes OUT/one.json after every process (``rows``: medians by variant;
``runs``: every run; ``swift``; ``equal``; ``told``: times and failures), OUT/one.profiles.txt and OUT/logs.txt (the
processes' own words).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic
from typing import Any

import yaml

from loadtest.suites.train import VARIANTS, TrainPlan, train_config, train_row

BY_NAME = {variant.name: variant for variant in VARIANTS}
ROW, LONG_ROW, LONGEST_ROW = 8192, 12_288, 16_384
"""Tokens of a packed row; the longer ones take about 60 and 75 GiB."""

SAID = 60_000
"""Characters of a process's words that are kept."""


class Session:
    """Processes one after the other, their results kept in files as they come."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.began, self.limit = monotonic(), arguments.limit
        self.work, self.out, self.small = arguments.work, arguments.out, arguments.small
        self.model, self.tiny = arguments.model, arguments.tiny
        few = {"steps": 2, "warmup": 1, "batch_size": 2, "row_tokens": 2048, "lora_rank": 4, "workers": 1}
        real = {"steps": 12, "warmup": 3, "batch_size": 7, "row_tokens": ROW, "lora_rank": 32, "workers": 4}
        self.load = TrainPlan(
            model=str(self.model),
            photos=0,
            size_wh=(1, 1),
            data=self.work / "data/ours.jsonl",
            **(few if self.small else real),
        )
        self.found: dict[str, Any] = {"rows": [], "runs": [], "swift": [], "equal": [], "told": []}
        self.profiles: list[str] = []

    def left(self) -> float:
        """Seconds."""
        return self.limit - (monotonic() - self.began)

    def tell(self, text: str) -> None:
        """Says what happens, and keeps it."""
        line = f"{monotonic() - self.began:6.1f} s  {text}"
        print(line, flush=True)
        self.found["told"].append(line)

    def process(self, name: str, words: list[str], *, least: float) -> list[dict[str, Any]]:
        """The JSON lines that a process printed before it ended; none where less than ``least`` seconds are left."""
        if self.left() < least:
            self.tell(f"{name}: no time")
            return []
        self.tell(f"{name} …")
        log = self.work / "log.txt"
        with log.open("w") as errors, (self.work / "lines.txt").open("w") as lines:
            try:
                code = subprocess.run(
                    [sys.executable, "-m", *words],
                    stdout=lines,
                    stderr=errors,
                    timeout=max(self.left(), 5),
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                code = -1
        words_said = log.read_text(errors="replace")
        with (self.out / "logs.txt").open("a") as kept:
            kept.write(f"== {name}\n{words_said[-SAID:]}\n")
        if code:
            said = words_said.splitlines()
            errors = [line for line in said if "Error" in line or ".py" in line][-40:]
            self.tell(f"{name} failed ({code}):\n" + "\n".join([*errors, *said[-3:]])[-6000:])
        found = [
            json.loads(line) for line in (self.work / "lines.txt").read_text().splitlines() if line.startswith('{"')
        ]
        for each in found:
            self.tell(json.dumps({key: value for key, value in each.items() if key not in ("took", "losses")}))
        return found

    def ours(
        self, variants: tuple[str, ...], *, profile: bool = False, row_tokens: int | None = None, least: float = 30
    ) -> None:
        """Runs variants in one process, with packed rows of another length where one is given (and named)."""
        paths, names = [], [name if row_tokens is None else f"{name} {row_tokens}" for name in variants]
        steps = self.load.steps + (2 if profile else 0)
        load = replace(self.load, steps=steps, row_tokens=self.load.row_tokens if self.small else row_tokens or ROW)
        for name, variant in zip(names, variants, strict=True):
            path = self.work / f"{name}.yaml"
            path.write_text(yaml.safe_dump(train_config(self.work, load, BY_NAME[self._known(variant)])))
            paths.append(str(path))
        options = ["--warmup", str(self.load.warmup), *(["--profile"] if profile else [])]
        found = self.process(" ".join(names), ["trainer.training.measure", *paths, *options], least=least)
        self.found["runs"] += [{"variant": name, **each} for name, each in zip(names, found, strict=False)]
        for name in names if profile else ():
            table = self.work / f"{name}.profile.txt"
            if table.exists():
                self.profiles.append(f"== {name}\n{table.read_text()}")
        self.save()

    def theirs(self, *cases: dict[str, Any], least: float = 60) -> None:
        """Runs ms-swift's cases in one process."""
        common = {name: getattr(self.load, name) for name in ("steps", "warmup", "lora_rank", "workers")}
        said = []
        for case in cases:
            liger = case["liger"] and not self.small
            said.append(json.dumps(common | {"batch": self.load.batch_size} | case | {"liger": liger}))
        words = ["tools.train_bench.theirs", str(self.model), str(self.work / "data/swift.jsonl"), *said]
        self.found["swift"] += self.process("ms-swift " + " ".join(case["name"] for case in cases), words, least=least)
        self.save()

    def equal(self, *checkpoints: Path, least: float = 30) -> None:
        """Liger on and off on checkpoints."""
        words = ["tools.train_bench.equal", *map(str, checkpoints), str(self.work / "data/ours.jsonl")]
        self.found["equal"] += self.process("Liger on and off", words, least=least)
        self.save()

    def save(self) -> None:
        """Writes what there is."""
        by_variant: dict[str, list[dict[str, Any]]] = {}
        for run in self.found["runs"]:
            by_variant.setdefault(run["variant"], []).append(
                {key: value for key, value in run.items() if key != "variant"}
            )
        self.found["rows"] = [asdict(train_row(name, runs)) for name, runs in by_variant.items()]
        (self.out / "one.json").write_text(json.dumps(self.found, indent=1, default=str))
        (self.out / "one.profiles.txt").write_text("\n\n".join(self.profiles))

    def _known(self, name: str) -> str:
        return name.replace("+liger", "").replace("+compiled", "") if self.small else name


BEST = {"kd": False, "recompute": False, "liger": True}
PLAIN = {"kd": False, "recompute": True, "liger": False}
PHASES: dict[str, Callable[[Session], None]] = {
    "compiled": lambda it: it.ours(("sft+packing+compiled", "gkd+packing+compiled"), profile=True),
    "liger": lambda it: it.ours(("sft+packing+liger", "gkd+packing+liger"), profile=True),
    "long": lambda it: it.ours(("sft+packing+compiled", "gkd+packing+compiled"), row_tokens=LONG_ROW, profile=True),
    "longest": lambda it: it.ours(("sft+packing+compiled", "gkd+packing+compiled"), row_tokens=LONGEST_ROW),
    "swift": lambda it: it.theirs({"name": "sft best", **BEST}),
    "swift-equal": lambda it: it.theirs({"name": "sft equal", **PLAIN}),
    "swift-large": lambda it: it.theirs({"name": "sft best, batch 9", **BEST, "batch": 9}),
    "swift-gkd": lambda it: it.theirs(
        {"name": "gkd best", **BEST, "kd": True, "batch": 4}, {"name": "gkd equal", **PLAIN, "kd": True, "batch": 4}
    ),
    "recompute": lambda it: it.ours(
        ("sft+recompute", "gkd+recompute", "sft+packing+recompute+compiled", "gkd+packing+recompute+compiled")
    ),
    "plain": lambda it: it.ours(("sft+packing", "gkd+packing", "sft+liger")),
    "equal": lambda it: it.equal(it.tiny, it.model),
}


def asked(module: str, part: str, known: tuple[str, ...], *, limit: float) -> tuple[Session, list[str]]:
    """The session that the command line asks for, and which of the ``known`` parts, in order; all unless it names some."""
    parser = argparse.ArgumentParser(prog=f"python -m tools.train_bench.{module}")
    for name in ("--model", "--tiny", "--work", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--limit", type=float, default=limit, help="seconds for everything")
    parser.add_argument("--small", action="store_true", help="a dry run on a CPU: Liger left out, nothing compiled")
    parser.add_argument("parts", nargs="*", metavar=part.upper(), help=f"of {' '.join(known)}; default: all")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.parts if name not in known]:
        parser.error(f"unknown {part} {unknown[0]}; valid: {' '.join(known)}")
    return Session(arguments), arguments.parts or [*known]


def main() -> None:
    """The command."""
    session, phases = asked("one", "phase", tuple(PHASES), limit=330)
    for name in phases:
        PHASES[name](session)
    session.tell("done")
    session.save()


if __name__ == "__main__":
    main()
