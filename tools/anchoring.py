"""Learning a new domain three ways, and what of the old one is forgotten: SFT, forward-only GKD, GKD with visual KD.

    python -m tools.anchoring --seeds 17 18 19 [--steps 24] [--generate]

The new domain are drawn scenes as negatives; training sees them alone, as captions and lines. Scores are teacher-forced
over held-out answers: nats per token and the share of tokens predicted right. ``--generate`` adds F1 at IoU 0.5 and verdict
accuracy of generated answers (a GPU's work). Runs that are in ``output/anchoring/results.jsonl`` are not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps

from scenes.rules import RULES
from scenes.write import write_dataset, write_tickets
from trainer.config import TrainConfig, load_config
from trainer.data.dataset import SampleDataset
from trainer.evaluation.evaluate import evaluation
from trainer.export import export
from trainer.model.collate import model_inputs, padded
from trainer.model.encode import Encoder
from trainer.training.run import prepared
from trainer.training.samples import to_device

ROOT = Path("output/anchoring")
RESULTS = ROOT / "results.jsonl"
ARMS = {"SFT": "demo_anchor", "GKD": "demo_anchor_gkd", "GKD + visual": "demo_anchor_gkd_visual"}
BEFORE = "before"
TRAINED, HELD_OUT = 400, 16
SEEDS = {"negatives": 51, "negatives_val": 52, "old_val": 53}
"""Of the drawn sets; none is one that the demo model was trained on."""


def main(arguments: list[str]) -> None:
    """Makes the runs that are missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--generate", action="store_true")
    parser.add_argument("--most", type=int, help="Make at most so many runs now.")
    asked = parser.parse_args(arguments)
    data = drawn()
    lines = RESULTS.read_text("utf-8").splitlines() if RESULTS.exists() else []
    known = {(line["arm"], line["seed"]): line for line in map(json.loads, lines)}
    wanted = [(BEFORE, 0), *((arm, seed) for seed in asked.seeds for arm in ARMS)]
    for arm, seed in [pair for pair in wanted if pair not in known][: asked.most]:
        known[arm, seed] = {"arm": arm, "seed": seed, **scores(arm, seed, asked.steps, data, asked.generate)}
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(known[arm, seed]) + "\n")
    print(table(line for pair, line in known.items() if pair in wanted))


def drawn() -> dict[str, Path]:
    """The JSONL file of each set, drawn where it is not there yet."""
    found = {}
    for name, seed in SEEDS.items():
        found[name] = path = ROOT / name / "data.jsonl"
        if not path.exists():
            write_dataset(ROOT / name, seed=seed * 10**6, count=TRAINED if name == "negatives" else HELD_OUT)
            for photo in (ROOT / name / "images").iterdir() if "negatives" in name else ():
                with Image.open(photo) as image:
                    ImageOps.invert(image.convert("RGB")).save(photo, quality=92)
    found["tickets_val"] = ROOT / "tickets_val/tickets.jsonl"
    if not found["tickets_val"].exists():
        write_tickets(ROOT / "tickets_val", seed=SEEDS["old_val"] * 10**6, missions=RULES, count=HELD_OUT)
    return found


def scores(arm: str, seed: int, steps: int | None, data: dict[str, Path], generate: bool) -> dict[str, float]:
    """One run's scores on the held-out sets, by name."""
    config = load_config(Path(f"configs/{ARMS.get(arm, ARMS['SFT'])}.yaml"))
    changed = {"seed": seed, "run_name": f"seed_{seed}", "save_strategy": "steps" if generate else "no"}
    changed |= {"max_steps": steps} if steps else {}
    config = config.model_copy(update={"training": config.training.model_copy(update=changed)})
    trainer = prepared(config)
    if arm != BEFORE:
        trainer.train()
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    sets = ("negatives_val", "old_val", "tickets_val")
    found = {f"{name}_{key}": value for name in sets for key, value in forced(model, config, data[name]).items()}
    if generate:
        directory = Path(config.model.model)
        if arm != BEFORE:
            trainer.save_final()
            last = config.training.run_dir / f"checkpoint-{trainer.state.global_step}"
            directory = export(last, config.training.run_dir / "merged")
        found |= generated(directory, data)
    return found


@torch.no_grad()
def forced(model: Any, config: TrainConfig, path: Path) -> dict[str, float]:
    """Nats per answer token and the share predicted right, each answer's own tokens before it given."""
    encoder = Encoder.load(config.model.model)
    samples = SampleDataset(path, shuffle=False, limit=HELD_OUT)
    network, sums = model.get_base_model(), torch.zeros(3, dtype=torch.float64)
    training = model.training
    model.eval()
    for start in range(0, len(samples), 4):
        encoded = [encoder.encode(samples[place]) for place in range(start, min(start + 4, len(samples)))]
        batch = to_device(model_inputs(padded(encoded, network.facts(encoder.pad_token))), model.device)
        output = model(**batch)
        sums += torch.stack([output[name].double().cpu() for name in ("loss_total", "correct", "tokens")])
    model.train(training)
    return {"loss": float(sums[0] / sums[2]), "accuracy": float(sums[1] / sums[2])}


def generated(directory: Path, data: dict[str, Path]) -> dict[str, float]:
    """F1 of boxes at IoU 0.5 on both domains, and the share of tickets judged right."""
    new = evaluation(directory, data=data["negatives_val"], max_new_tokens=512)
    old = evaluation(directory, data=data["old_val"], tickets=data["tickets_val"], max_new_tokens=512)
    return {
        "negatives_val_f1": new.box.f1_50 or 0.0,
        "old_val_f1": old.box.f1_50 or 0.0,
        "tickets_val_right": old.verdict_accuracy or 0.0,
    }


def table(lines: Iterable[dict[str, Any]]) -> str:
    """Markdown: a row for each way, each number the mean over its seeds and its standard deviation."""
    by_arm: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_arm.setdefault(line["arm"], []).append(line)
    names = [name for name in next(iter(by_arm.values()))[0] if name not in ("arm", "seed")]
    rows = [f"| | seeds | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for arm in (BEFORE, *ARMS):
        runs = by_arm.get(arm, [])
        if runs:
            values = [[run[name] for run in runs if name in run] for name in names]
            shown = [f"{statistics.mean(v):.3f} ± {statistics.pstdev(v):.3f}" if v else "–" for v in values]
            rows.append(f"| {arm} | {len(runs)} | {' | '.join(shown)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
