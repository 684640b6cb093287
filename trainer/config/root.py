"""The whole configuration."""

from __future__ import annotations

from pydantic import Field

from trainer.config.data import CustomSection, DataSection, DeepspeedSection, PromptsSection
from trainer.config.distillation import RlhfSection
from trainer.config.model import ModelSection, TemplateSection
from trainer.config.section import Positive, Section
from trainer.config.training import TrainingSection
from trainer.config.tuner import TunerSection


class TrainConfig(Section):
    """A training run, complete and consistent. Made by ``trainer.config.load_config``."""

    global_max_length: Positive | None = Field(
        default=None, description="Tokens. The one length knob: the longest sample, image tokens included."
    )
    model: ModelSection = Field(description="The checkpoint to start from.")
    template: TemplateSection = Field(default=TemplateSection(), description="Chat template and length limit.")
    tuner: TunerSection = Field(default=TunerSection(), description="What is trained and how.")
    training: TrainingSection = Field(description="The run.")
    rlhf: RlhfSection | None = Field(default=None, description="Distillation from a frozen teacher.")
    data: DataSection = Field(default=DataSection(), description="Placeholders of old files.")
    custom: CustomSection = Field(description="The data set.")
    prompts: PromptsSection = Field(default=PromptsSection(), description="Which prompts.")
    deepspeed: DeepspeedSection = Field(default=DeepspeedSection(enabled=False), description="Sharding by DeepSpeed.")

    @property
    def max_length(self) -> int:
        """Tokens of the longest sample."""
        return self.template.max_length

    @property
    def packing_length(self) -> int:
        """Tokens of a packed row."""
        return self.training.packing_length or self.template.max_length
