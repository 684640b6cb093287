"""Sections ``data``, ``custom``, ``prompts`` and ``deepspeed``: the data set, its tasks, its prompts, and sharding."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainer.config.augmentation import AugmentationSection
from trainer.config.distillation import VisualKdSection
from trainer.config.section import Positive, Probability, Section, Strings


class DataSection(Section):
    """Accepted for files written for ms-swift; ``custom`` names the data."""

    dataset: Strings = Field(
        default=(),
        description='A placeholder such as `["dummy"]` is accepted and ignored; custom.train_jsonl names the data.',
    )
    val_dataset: Strings = Field(
        default=(),
        description='A placeholder such as `["dummy"]` is accepted and ignored; custom.val_jsonl names the data.',
    )


class SceneSet(Section):
    """A set of drawn photos and tickets."""

    seed: Annotated[int, Field(ge=0)] = Field(description="Seed of the set; sets of different seeds share no scene.")
    count: Positive = Field(description="Number of photos.")
    tickets: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Number of additional tickets, alternately with summaries, with photos and with both."
    )
    lessons: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Number of additional photos to learn verdicts from: flawless ones, flaws that no label names, close-ups, "
        "dark and blurred ones.",
    )
    composed_tickets: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Number of additional tickets composed of the set's photos, with summaries, with photos and with both.",
    )
    text_tickets: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Number of additional tickets with summaries only; their photos are not drawn."
    )


class ScenesSection(Section):
    """Synthetic data drawn before training, instead of JSONL files."""

    train: SceneSet = Field(description="Scenes to train on.")
    val: SceneSet | None = Field(default=None, description="Scenes to evaluate on.")
    size_wh: Annotated[tuple[Positive, Positive], Field(strict=False)] | None = Field(
        default=None, description="Width and height of a photo, px; default: the generator's."
    )
    domain: Literal["base", "shifted"] = Field(
        default="base", description="`shifted` adds a new brand and a new item (for adaptation demos)."
    )


class CustomSection(Section):
    """The data set, its tasks and its augmentation."""

    train_jsonl: str | None = Field(
        default=None, description="Training records (JSONL), relative to the working directory; old name: jsonl."
    )
    val_jsonl: str | None = Field(default=None, description="Evaluation records (JSONL).")
    inspections: Strings = Field(
        default=(),
        description="The active inspections, directories or shipped names; default: those of VQC_INSPECTIONS.",
    )
    scenes: ScenesSection | None = Field(
        default=None, description="Draw synthetic data instead of reading JSONL files."
    )
    root_image_dir: str | None = Field(
        default=None,
        description="Base directory of relative image paths; default: the environment variable ROOT_IMAGE_DIR, else "
        "the JSONL file's own directory.",
    )
    max_image_bytes: Positive = Field(
        default=20 * 2**20, description="Largest image file, bytes; the default is the service's."
    )
    emit_norm: Literal["norm1000"] = Field(
        default="norm1000", description="Coordinate space of answers: integers 0..1000."
    )
    use_summary: bool = Field(
        default=False, description="Train on the Stage-A line of every photo instead of its caption."
    )
    summary_ratio: Probability | None = Field(
        default=None,
        description="Mixed mode: probability that a sample trains the photo's line instead of its caption, chosen per "
        "sample and epoch from the seed.",
    )
    augmentation: AugmentationSection = Field(
        default=AugmentationSection(enabled=False), description="Random changes of photo and labels during training."
    )
    bypass_prob: Probability = Field(default=0.0, description="Probability that a sample is not augmented.")
    visual_kd: VisualKdSection | None = Field(
        default=None, description="Keep the photos' features close to the teacher's."
    )
    trainer_variant: Literal["gkd_monitor"] | None = Field(
        default=None, description="Accepted without effect: distillation always logs its terms."
    )
    sample_limit: Positive | None = Field(default=None, description="Use only the first N records of each file.")
    train_sample_limit: Positive | None = Field(
        default=None, description="Use only the first N training records; overrides sample_limit."
    )
    val_sample_limit: Positive | None = Field(
        default=None, description="Use only the first N evaluation records; overrides sample_limit."
    )
    dump_conversation_text: bool = Field(
        default=False, description="Write the first conversation to a text file before training."
    )
    dump_conversation_path: str | None = Field(
        default=None, description="Path of that file; default conversation_text.txt in the run directory."
    )

    @property
    def train_limit(self) -> int | None:
        """Number of training records to use; None: all."""
        return self.train_sample_limit or self.sample_limit

    @property
    def val_limit(self) -> int | None:
        """Number of evaluation records to use; None: all."""
        return self.val_sample_limit or self.sample_limit

    @property
    def summary_share(self) -> float:
        """Probability that a photo's sample trains its summary: 0 dense mode, 1 summary mode, between: mixed mode."""
        return 1.0 if self.use_summary else (self.summary_ratio or 0.0)

    @property
    def bypass_share(self) -> float:
        """Probability that a sample is not augmented; ``augmentation.bypass_prob`` overrides ``bypass_prob``."""
        own = self.augmentation.bypass_prob
        return self.bypass_prob if own is None else own


class PromptsSection(Section):
    """Which prompts are used. Their text is in the inspection's ``prompts.yaml``, which the service uses too."""

    missions: Strings = Field(
        default=(),
        description="Missions to choose from for Stage-A records that name none (by seed, epoch and index); "
        "default: all active missions.",
    )


class DeepspeedSection(Section):
    """Sharded training through DeepSpeed."""

    enabled: bool = Field(description="Whether DeepSpeed is used.")
    config: Literal["zero2", "zero3"] | None = Field(
        default=None, description="zero2 shards optimizer states and gradients; zero3 shards the parameters too."
    )
