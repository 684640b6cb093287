"""Learning a new domain, and what of the old one is forgotten: SFT, forward-only GKD, GKD with visual KD.

The new domain are the drawn scenes as negatives, learnt as captions and lines; the old one the same scenes in colour,
and the verdicts of tickets, which training does not touch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from tools.demo_studies.runs import BEFORE, MODEL, MOST_TOKENS, Run, trained
from trainer.config import TrainConfig, load_config
from trainer.data.dataset import SampleDataset
from trainer.evaluation import evaluation
from trainer.model import network
from trainer.model.collate import model_inputs, padded
from trainer.model.encode import Encoder
from trainer.training.samples import to_device


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A way of learning: its configuration, and ``llm_kd_weight`` where it has a teacher."""

    config: str
    weight: float | None = None

    def loaded(self) -> TrainConfig:
        """The configuration with the weight in place."""
        config = load_config(Path(f"configs/{self.config}.yaml"))
        if self.weight is None or config.rlhf is None:
            return config
        return config.model_copy(update={"rlhf": config.rlhf.model_copy(update={"llm_kd_weight": self.weight})})


ARMS = {
    "SFT": Arm(config="demo_anchor"),
    "GKD 3": Arm(config="demo_anchor_gkd", weight=3.0),
    "GKD 10": Arm(config="demo_anchor_gkd", weight=10.0),
    "GKD 10 + visual": Arm(config="demo_anchor_gkd_visual", weight=10.0),
}


def scores(one: Run) -> dict[str, float]:
    """The run's scores on both domains, by name; ``nats`` are of an answer's token, those before it given."""
    data, sizes = one.data, one.sizes
    directory = MODEL if one.arm == BEFORE else trained(ARMS[one.arm].loaded(), one, data.photos("negatives", "train"))
    found: dict[str, float] = {}
    for name, path, tickets in (
        ("new", data.photos("negatives", "val"), None),
        ("old", data.photos("colour", "val"), data.tickets),
    ):
        report = evaluation(
            directory, data=path, tickets=tickets, batch_size=max(sizes.held_out // 2, 1), max_new_tokens=MOST_TOKENS
        )
        found |= {
            f"{name} boxes": report.box.f1_50 or 0.0,
            f"{name} lines": report.line.f1_50 or 0.0,
            f"{name} Stage-A": report.facts.recall or 0.0,
            f"{name} malformed": report.malformed or 0.0,
        }
        found |= {"old verdicts": report.verdict_accuracy or 0.0} if tickets else {}
        found[f"{name} nats"] = nats(directory, path)
    found["old verdicts nats"] = nats(directory, data.tickets)
    return found


@torch.no_grad()
def nats(directory: Path, path: Path) -> float:
    """Nats per token of the labelled answers of a file."""
    encoder = Encoder.load(directory)
    model = network.load(directory, dtype=torch.float32, attn_impl="sdpa", pixel_table=encoder.pixels.table_CV)
    model.to("cuda" if torch.cuda.is_available() else "cpu")  # type: ignore[arg-type]
    model.eval()
    total = tokens = 0.0
    for batch in _batches(path, encoder, model):
        output = model(**to_device(batch, model.device))
        total, tokens = total + float(output.loss_total), tokens + float(output.tokens)
    return total / tokens


def _batches(path: Path, encoder: Encoder, model: network.Qwen3VLForConditionalGeneration) -> Iterator[dict]:
    samples = SampleDataset(path, shuffle=False)
    facts = model.facts(encoder.pad_token)
    for start in range(0, len(samples), 16):
        encoded = [encoder.encode(samples[place]) for place in range(start, min(start + 16, len(samples)))]
        yield model_inputs(padded(encoded, facts))
