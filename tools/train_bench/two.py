"""Two GPUs: the same rows learnt by one process and by two with DDP, ZeRO and FSDP2; losses side by side, and scaling.

    python -m tools.train_bench.two --model DIR --tiny DIR --work DIR --out DIR --limit SECONDS [--small]

A step of one process accumulates the two rows that two processes take one each. Writes OUT/two.json after every process.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import yaml

from loadtest.train import config
from tools.train_bench.one import BY_NAME, Session

WAYS = ("one", "ddp", "zero3", "fsdp2", "zero2")
STEPS = 8


def tree(session: Session, model: Path, way: str) -> dict[str, Any]:
    """The configuration of a way to train a checkpoint."""
    load = session.load
    found = config(session.work / f"{way}-{model.name}", load, BY_NAME["sft+packing"])
    found["model"]["model"] = str(model)
    training = found["training"]
    training |= {"max_steps": STEPS, "logging_steps": 1, "learning_rate": 1e-4, "lr_scheduler_type": "constant"}
    training["gradient_accumulation_steps"] = 2 if way == "one" else 1
    if way == "fsdp2":
        training["fsdp"] = "fsdp2"
    if way.startswith("zero"):
        found["deepspeed"] = {"enabled": True, "config": way}
    return found


def learn(session: Session, way: str) -> None:
    """Trains both checkpoints one way and keeps what every rank measured."""
    models = (session.tiny, session.model)
    paths = []
    for model in models:
        path = session.work / f"{way}-{model.name}.yaml"
        path.write_text(yaml.safe_dump(tree(session, model, way)))
        paths.append(str(path))
    command = ["trainer.training.measure", *paths, "--warmup", "3"]
    if way != "one":
        port = str(random.randrange(20_000, 30_000))
        command = ["torch.distributed.run", "--nproc_per_node", "2", "--master_port", port, "-m", *command]
    lines = session.process(way, command, least=35)
    ranks = 1 if way == "one" else 2
    runs = {}
    for place, model in enumerate(models):
        of_ranks = lines[place * ranks : (place + 1) * ranks]
        if len(of_ranks) == ranks:
            runs[model.name] = {
                "samples_per_s": sum(line["samples_per_s"] for line in of_ranks),
                "step_ms": 1000 * max(line["step_s"] for line in of_ranks),
                "peak_memory_gib": max(line["peak_memory_gib"] for line in of_ranks),
                "losses": next((line["losses"] for line in of_ranks if line["losses"]), []),
            }
    session.found.setdefault("ways", {})[way] = runs


def compare(session: Session) -> None:
    """Each way beside one process: the largest difference of a step's loss, and samples a second ÷ twice one's."""
    ways = session.found.get("ways", {})
    rows = []
    for way, runs in ways.items():
        for name, run in runs.items():
            one = ways.get("one", {}).get(name)
            if way != "one" and one:
                apart = [abs(a - b) for a, b in zip(one["losses"], run["losses"], strict=False)]
                scaling = run["samples_per_s"] / one["samples_per_s"] / 2
                rows.append(
                    {
                        "way": way,
                        "model": name,
                        "steps": len(apart),
                        "loss_apart": max(apart, default=None),
                        "scaling": scaling,
                    }
                )
    session.found["compared"] = rows
    (session.out / "two.json").write_text(json.dumps(session.found, indent=1, default=str))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_bench.two")
    for name in ("--model", "--tiny", "--work", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--limit", type=float, default=170)
    parser.add_argument("--small", action="store_true", help="a dry run on a CPU")
    parser.add_argument("ways", nargs="*", default=WAYS)
    arguments = parser.parse_args()
    session = Session(arguments)
    for way in arguments.ways or WAYS:
        learn(session, way)
        compare(session)
    for row in session.found["compared"]:
        session.tell(json.dumps(row))
    compare(session)


if __name__ == "__main__":
    main()
