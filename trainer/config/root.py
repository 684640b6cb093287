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
    """The complete and consistent configuration of a run, as ``trainer.config.load_config`` returns it."""

    global_max_length: Positive | None = Field(
        default=None, description="Longest sample, tokens (image tokens included). The only length setting."
    )
    model: ModelSection = Field(description="The checkpoint to start from.")
    template: TemplateSection = Field(default=TemplateSection(), description="Chat template and length limit.")
    tuner: TunerSection = Field(default=TunerSection(), description="What is trained, and how.")
    training: TrainingSection = Field(description="The run.")
    rlhf: RlhfSection | None = Field(default=None, description="Distillation from a frozen teacher.")
    data: DataSection = Field(default=DataSection(), description="Placeholders in files written for ms-swift.")
    custom: CustomSection = Field(description="The data set.")
    prompts: PromptsSection = Field(default=PromptsSection(), description="Which prompts are used.")
    deepspeed: DeepspeedSection = Field(default=DeepspeedSection(enabled=False), description="Sharding by DeepSpeed.")

    @property
    def max_length(self) -> int:
        """Longest sample, tokens."""
        return self.template.max_length

    @property
    def packing_length(self) -> int:
        """Length of a packed row, tokens."""
        return self.training.packing_length or self.template.max_length
