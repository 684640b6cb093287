"""What the studies share: the sizes of a run, and a configuration trained and exported."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.demo_studies.data import Data
from trainer.config import TrainConfig
from trainer.export import export
from trainer.training.run import run

MODEL = Path("deploy/demo/model")
BEFORE = "before"
"""The arm that is not trained."""

MOST_TOKENS = 512
"""Of an answer. The longest held-out caption has about 400 in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is done. ``steps`` and ``batch`` (samples of a step) None: as the configuration says."""

    steps: int | None
    batch: int | None
    held_out: int
    tickets: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training run of a study, and where its data and its results lie."""

    study: str
    arm: str
    seed: int
    data: Data
    sizes: Sizes

    @property
    def name(self) -> str:
        """As a file name."""
        return f"{self.study}-{self.arm}-{self.seed}".replace(" ", "_")


def trained(config: TrainConfig, one: Run, train: Path) -> Path:
    """The directory of the merged model that this configuration gives on these records; made anew."""
    changed: dict[str, object] = {
        "seed": one.seed,
        "output_dir": str(one.data.root / "runs"),
        "run_name": one.name,
        "dataloader_num_workers": one.sizes.workers,
    }
    changed |= {"max_steps": one.sizes.steps} if one.sizes.steps else {}
    changed |= {"per_device_train_batch_size": one.sizes.batch} if one.sizes.batch else {}
    config = config.model_copy(
        update={
            "training": config.training.model_copy(update=changed),
            "custom": config.custom.model_copy(update={"train_jsonl": str(train)}),
        }
    )
    shutil.rmtree(config.training.run_dir, ignore_errors=True)  # of a call before, whose results were not kept
    result = run(config)
    assert result.checkpoint is not None
    return export(result.checkpoint, config.training.run_dir / "merged")
