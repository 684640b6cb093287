"""Learning a new domain, and what of the old one is forgotten: SFT, forward-only GKD, GKD with visual KD.

The new domain are the drawn scenes as another camera takes them, learnt as captions and lines; the old one the same scenes
in colour, and the verdicts of tickets, which training does not touch. The teacher, the model before, misreads negatives
and reads most photos with red for blue.
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

DOMAINS = {"anchoring": "negatives", "swapped": "swapped"}
"""The new domain of each study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A way of learning: its configuration, the weights of what holds it where it has a teacher, and its learning rate.

    ``rate`` None: as the configuration says.
    """

    config: str
    text: float = 0.0
    features: float = 0.0
    rate: float | None = None

    def loaded(self) -> TrainConfig:
        """The configuration with the weights in place."""
        config = load_config(Path(f"configs/{self.config}.yaml"))
        rlhf, custom = config.rlhf, config.custom
        if rlhf is not None:
            rlhf = rlhf.model_copy(update={"llm_kd_weight": self.text})
        if custom.visual_kd is not None:
            visual_kd = custom.visual_kd.model_copy(update={"weight": self.features})
            custom = custom.model_copy(update={"visual_kd": visual_kd})
        training = config.training.model_copy(update={"learning_rate": self.rate} if self.rate else {})
        return config.model_copy(update={"rlhf": rlhf, "custom": custom, "training": training})


ARMS = {
    "SFT": Arm(config="demo_anchor"),
    "GKD 10": Arm(config="demo_anchor_gkd", text=10.0),
    "GKD 100": Arm(config="demo_anchor_gkd", text=100.0),
    "GKD 100 + visual 1": Arm(config="demo_anchor_gkd_visual", text=100.0, features=1.0),
    "SFT at a fifth": Arm(config="demo_anchor", rate=2e-4),
}
"""Weights beside a cross-entropy of weight 1. At beta 0.1 the divergence is about a tenth of KL, so 10 is about one KL.

SFT at a fifth of the rate learns less and forgets less as well: anchoring has to do better than that.
"""

TICKETS_AT_ONCE = 50
"""Of up to four photos and their lines each."""


def scores(one: Run) -> dict[str, float]:
    """The run's scores on both domains, by name; ``nats`` are of an answer's token, those before it given."""
    data, sizes, new = one.data, one.sizes, DOMAINS[one.study]
    directory = MODEL if one.arm == BEFORE else trained(ARMS[one.arm].loaded(), one, data.photos(new, "train"))
    found: dict[str, float] = {}
    for name, domain in (("new", new), ("old", "colour")):
        path = data.photos(domain, "val")
        report = evaluation(directory, data=path, batch_size=sizes.held_out, max_new_tokens=MOST_TOKENS)
        found |= {
            f"{name} boxes": report.box.f1_50 or 0.0,
            f"{name} lines": report.line.f1_50 or 0.0,
            f"{name} Stage-A": report.facts.recall or 0.0,
            f"{name} malformed": report.malformed or 0.0,
            f"{name} nats": nats(directory, path),
        }
    verdicts = evaluation(directory, data=data.tickets, batch_size=TICKETS_AT_ONCE)
    return found | {
        "old verdicts": verdicts.verdict_accuracy or 0.0,
        "old verdicts nats": nats(directory, data.tickets),
    }


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
