"""A session of training runs: processes one after the other within a time limit, their results saved as they come."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import yaml

from loadtest.suites.train import VARIANTS, TrainPlan, TrainVariant, train_config, train_row

_VARIANTS = {variant.name: variant for variant in VARIANTS}
_LOG_CHARACTERS = 60_000
"""The part of a process's output that is saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainScale:
    """The sizes of every run. ``on_gpu``: Liger, compilation and rows of the requested length; else short rows without both."""

    steps: int
    warmup: int
    batch_size: int
    row_tokens: int
    lora_rank: int
    workers: int
    on_gpu: bool

    def variant(self, name: str) -> TrainVariant:
        """The variant ``name``, as this machine can run it."""
        return _VARIANTS[name if self.on_gpu else name.replace("+liger", "").replace("+compiled", "")]


GPU = TrainScale(steps=12, warmup=3, batch_size=7, row_tokens=8192, lora_rank=32, workers=4, on_gpu=True)
DRY_RUN = TrainScale(steps=2, warmup=1, batch_size=2, row_tokens=2048, lora_rank=4, workers=1, on_gpu=False)
"""For a CPU; proves that every step works."""


class TrainSession:
    """Runs processes and collects their results. ``save`` writes OUT/one.json and OUT/one.profiles.txt."""

    def __init__(self, model: Path, tiny: Path, work: Path, out: Path, *, limit_s: float, scale: TrainScale) -> None:
        self.model = model
        self.tiny = tiny
        self.work = work
        self.out = out
        self.scale = scale
        self.plan = TrainPlan(
            model=str(model),
            photos=0,
            size_wh=(1, 1),
            data=work / "data/ours.jsonl",
            steps=scale.steps,
            warmup=scale.warmup,
            batch_size=scale.batch_size,
            row_tokens=scale.row_tokens,
            lora_rank=scale.lora_rank,
            workers=scale.workers,
        )
        self.results: dict[str, Any] = {"rows": [], "runs": [], "swift": [], "equal": [], "log": []}
        self._profiles: list[str] = []
        self._began = monotonic()
        self._limit_s = limit_s

    def seconds_left(self) -> float:
        """Seconds until the time limit."""
        return self._limit_s - (monotonic() - self._began)

    def log(self, text: str) -> None:
        """Prints a line with the seconds since the start, and adds it to the results."""
        line = f"{monotonic() - self._began:6.1f} s  {text}"
        print(line, flush=True)
        self.results["log"].append(line)

    def run_module(self, name: str, words: list[str], *, least_s: float) -> list[dict[str, Any]]:
        """The JSON lines that a module printed before it ended; none if less than ``least_s`` seconds are left."""
        if self.seconds_left() < least_s:
            self.log(f"{name}: no time")
            return []
        self.log(f"{name} …")
        errors, lines = self.work / "log.txt", self.work / "lines.txt"
        with errors.open("w") as stderr, lines.open("w") as stdout:
            try:
                code = subprocess.run(
                    [sys.executable, "-m", *words],
                    stdout=stdout,
                    stderr=stderr,
                    timeout=max(self.seconds_left(), 5),
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                code = -1
        output = errors.read_text(errors="replace")
        with (self.out / "logs.txt").open("a") as logs:
            logs.write(f"== {name}\n{output[-_LOG_CHARACTERS:]}\n")
        if code:
            every = output.splitlines()
            telling = [line for line in every if "Error" in line or ".py" in line][-40:]
            self.log(f"{name} failed ({code}):\n" + "\n".join([*telling, *every[-3:]])[-6000:])
        results = [json.loads(line) for line in lines.read_text().splitlines() if line.startswith('{"')]
        for result in results:
            self.log(json.dumps({key: value for key, value in result.items() if key not in ("took", "losses")}))
        return results

    def run_variants(
        self, variants: Sequence[str], *, profile: bool = False, row_tokens: int | None = None, least_s: float = 30
    ) -> None:
        """Runs variants in one process. Packed rows of ``row_tokens`` add it to the name of the variant."""
        names = [name if row_tokens is None else f"{name} {row_tokens}" for name in variants]
        paths = list[str]()
        plan = replace(self.plan, steps=self.plan.steps + (2 if profile else 0))
        if row_tokens is not None and self.scale.on_gpu:
            plan = replace(plan, row_tokens=row_tokens)
        for name, variant in zip(names, variants, strict=True):
            path = self.work / f"{name}.yaml"
            path.write_text(yaml.safe_dump(train_config(self.work, plan, self.scale.variant(variant))))
            paths.append(str(path))
        options = ["--warmup", str(self.plan.warmup), *(["--profile"] if profile else [])]
        runs = self.run_module(" ".join(names), ["trainer.training.measure", *paths, *options], least_s=least_s)
        # A process that ran out of time printed fewer lines than it got configurations.
        self.results["runs"] += [{"variant": name, **run} for name, run in zip(names, runs, strict=False)]
        for name in names if profile else ():
            table = self.work / f"{name}.profile.txt"
            if table.exists():
                self._profiles.append(f"== {name}\n{table.read_text()}")
        self.save()

    def run_swift(self, *cases: dict[str, Any], least_s: float = 60) -> None:
        """Runs cases of ms-swift in one process."""
        common = {name: getattr(self.plan, name) for name in ("steps", "warmup", "lora_rank", "workers")}
        documents = []
        for case in cases:
            liger = case["liger"] and self.scale.on_gpu
            documents.append(json.dumps(common | {"batch": self.plan.batch_size} | case | {"liger": liger}))
        words = ["tools.train_bench.theirs", str(self.model), str(self.work / "data/swift.jsonl"), *documents]
        name = "ms-swift " + " ".join(case["name"] for case in cases)
        self.results["swift"] += self.run_module(name, words, least_s=least_s)
        self.save()

    def compare_liger(self, *checkpoints: Path, least_s: float = 30) -> None:
        """Compares losses and gradients with and without Liger on checkpoints."""
        words = ["tools.train_bench.equal", *map(str, checkpoints), str(self.work / "data/ours.jsonl")]
        self.results["equal"] += self.run_module("Liger on and off", words, least_s=least_s)
        self.save()

    def save(self) -> None:
        """Writes the results so far."""
        by_variant: dict[str, list[dict[str, Any]]] = {}
        for run in self.results["runs"]:
            by_variant.setdefault(run["variant"], []).append(
                {key: value for key, value in run.items() if key != "variant"}
            )
        self.results["rows"] = [asdict(train_row(name, runs)) for name, runs in by_variant.items()]
        (self.out / "one.json").write_text(json.dumps(self.results, indent=1, default=str))
        (self.out / "one.profiles.txt").write_text("\n\n".join(self._profiles))


def parse_session(module: str, part: str, valid: Sequence[str], *, limit_s: float) -> tuple[TrainSession, list[str]]:
    """The session of the command line, and the ``valid`` parts that it names, in order; all if it names none."""
    parser = argparse.ArgumentParser(prog=f"python -m tools.train_bench.{module}")
    for name in ("--model", "--tiny", "--work", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--limit", type=float, default=limit_s, help="seconds for everything")
    parser.add_argument("--small", action="store_true", help="a dry run on a CPU: no Liger, no compilation")
    parser.add_argument("parts", nargs="*", metavar=part.upper(), help=f"of {' '.join(valid)}; default: all")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.parts if name not in valid]:
        parser.error(f"unknown {part} {unknown[0]}; valid: {' '.join(valid)}")
    session = TrainSession(
        arguments.model,
        arguments.tiny,
        arguments.work,
        arguments.out,
        limit_s=arguments.limit,
        scale=DRY_RUN if arguments.small else GPU,
    )
    return session, arguments.parts or [*valid]
