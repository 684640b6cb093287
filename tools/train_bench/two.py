"""Two GPUs: the same rows trained by one process and by two with DDP, ZeRO and FSDP2; losses compared, and scaling.

    python -m tools.train_bench.two --model DIR --tiny DIR --work DIR --out DIR --limit SECONDS [--small] [WAY…]

A step of one process accumulates the two rows that two processes take one each. Writes OUT/two.json after every process.
"""

from __future__ import annotations

import json
import random
from typing import Any

import yaml

from loadtest.suites.train import train_config
from tools.train_bench.session import TrainSession, parse_session

WAYS = ("one", "ddp", "zero3", "fsdp2", "zero2", "one+compiled", "ddp+compiled")
STEPS = 8


def config_of(session: TrainSession, way: str) -> dict[str, Any]:
    """The training configuration of a way."""
    base, _, compiled = way.partition("+")
    variant = "sft+packing+compiled" if compiled and session.scale.on_gpu else "sft+packing+recompute"
    config = train_config(session.work / way, session.plan, session.scale.variant(variant))
    training = config["training"]
    training |= {"max_steps": STEPS, "logging_steps": 1, "learning_rate": 1e-4, "lr_scheduler_type": "constant"}
    training["gradient_accumulation_steps"] = 2 if base == "one" else 1
    if base == "fsdp2":
        training["fsdp"] = "fsdp2"
    if base.startswith("zero"):
        config["deepspeed"] = {"enabled": True, "config": base}
    return config


def train_way(session: TrainSession, way: str) -> None:
    """Trains one way and adds the measurements of all ranks to the results."""
    path = session.work / f"{way}.yaml"
    path.write_text(yaml.safe_dump(config_of(session, way)))
    command = ["trainer.training.measure", str(path), "--warmup", "3"]
    ranks = 1 if way.startswith("one") else 2
    if ranks == 2:
        port = str(random.randrange(20_000, 30_000))
        command = ["torch.distributed.run", "--nproc_per_node", "2", "--master_port", port, "-m", *command]
    lines = session.run_module(way, command, least_s=30)
    if len(lines) == ranks:
        session.results.setdefault("ways", {})[way] = {
            "samples_per_s": sum(line["samples_per_s"] for line in lines),
            "step_ms": 1000 * max(line["step_s"] for line in lines),
            "peak_memory_gib": max(line["peak_memory_gib"] for line in lines),
            "losses": next((line["losses"] for line in lines if line["losses"]), []),
        }


def compare_ways(session: TrainSession) -> None:
    """Each way against one process: the largest difference of a step's loss, and samples a second ÷ twice one's. Saves."""
    ways = session.results.get("ways", {})
    rows = []
    for way, run in ways.items():
        one = ways.get("one+compiled" if way.endswith("+compiled") else "one")
        if one and not way.startswith("one"):
            apart = [abs(a - b) for a, b in zip(one["losses"], run["losses"], strict=False)]
            scaling = run["samples_per_s"] / one["samples_per_s"] / 2
            rows.append({"way": way, "steps": len(apart), "loss_apart": max(apart, default=None), "scaling": scaling})
    session.results["compared"] = rows
    (session.out / "two.json").write_text(json.dumps(session.results, indent=1, default=str))


def main() -> None:
    """The command."""
    session, ways = parse_session("two", "way", WAYS, limit_s=170)
    for way in ways:
        train_way(session, way)
        compare_ways(session)
    for row in session.results["compared"]:
        session.log(json.dumps(row))
    compare_ways(session)


if __name__ == "__main__":
    main()
