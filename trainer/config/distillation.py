"""Sections ``rlhf`` and ``custom.visual_kd``: what a frozen teacher adds to the loss. Key names are ms-swift's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from trainer.config.section import Positive, Probability, Section

Weight = Annotated[float, Field(ge=0)]
FeatureKind = Literal["merger", "deepstack"]
Distance = Literal["mse", "cosine"]


def _kinds(value: object) -> object:
    """A list (or one) of kinds, lower case, each once."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list):
        return value
    if not all(isinstance(item, str) for item in listed):
        return tuple(listed)
    return tuple(dict.fromkeys(item.lower() for item in listed))


class TeacherCacheSection(Section):
    """The teacher's word kept on disk, so that it runs once for each sample and not once for each epoch or run."""

    path: str = Field(description="Directory; runs with the same teacher, temperature and top_k may share it.")
    top_k: Positive = Field(
        default=64,
        description="Tokens kept of each position, the likeliest; all others count as one. About 8 bytes each.",
    )


class RlhfSection(Section):
    """Generalised knowledge distillation (GKD): stay close to a frozen teacher while learning. Absent: plain training."""

    rlhf_type: Literal["gkd"] = Field(description="Kind of distillation.")
    teacher_model: str | None = Field(
        default=None,
        description="The teacher: a checkpoint directory, a name in the local Hugging Face cache, or an alias or digest of "
        "the registry VQC_REGISTRY. Default: the model that the run starts from. Where that is the model under an adapter "
        "no copy is loaded: the teacher is the student with its adapter off.",
    )
    beta: Probability = Field(
        default=0.5,
        description="Which divergence, not how strong: 0 is KL(teacher, student), 1 is KL(student, teacher), between: the "
        "generalised Jensen-Shannon divergence. The strength is llm_kd_weight.",
    )
    temperature: Annotated[float, Field(gt=0, le=10)] = Field(
        default=1.0,
        description="Divides both models' logits in the divergence, and the student's when it generates (ms-swift: 0.9).",
    )
    llm_kd_weight: Weight = Field(
        default=1.0, description="Weight of the divergence; 0 leaves it and its metric out (visual_kd may stay)."
    )
    sft_alpha: Weight = Field(
        default=1.0,
        description="Weight of the cross-entropy beside the divergence (ms-swift: 0). With llm_kd_weight 0 it is 1.",
    )
    lmbda: Probability = Field(
        default=0.0,
        description="Share of optimizer steps whose answers the student generates itself (on-policy; ms-swift: 0.5). "
        "Cross-entropy does not count on them.",
    )
    seq_kd: bool = Field(
        default=False, description="On the other steps, learn the teacher's greedy answers instead of the data's."
    )
    max_completion_length: Positive = Field(default=512, description="Most tokens of a generated answer.")
    use_vllm: bool = Field(
        default=False,
        description="The student's own answers come from a vLLM server that holds its base and gets its LoRA adapter; false: "
        "from the training process.",
    )
    vllm_mode: Literal["server"] = Field(default="server", description="Where vLLM runs: in a server of its own.")
    vllm_server_host: str = Field(default="127.0.0.1", description="Its host; it reads the run's directory too.")
    vllm_server_port: Annotated[int, Field(ge=1, le=65535)] = Field(default=8000, description="Its port.")
    vllm_server_timeout: Annotated[float, Field(gt=0)] = Field(
        default=240.0, description="Seconds that it may be away, or take for an answer, before the run saves and ends."
    )
    vllm_sync_frequency: Positive = Field(
        default=1,
        description="Steps after which it gets the student's adapter anew; until then it answers with the old one.",
    )
    teacher_cache: TeacherCacheSection | None = Field(
        default=None, description="Keep the teacher's likeliest tokens on disk. For data that is not augmented."
    )

    @property
    def generates(self) -> bool:
        """Whether any answer is generated while training."""
        return self.lmbda > 0 or self.seq_kd

    @property
    def sft_weight(self) -> float:
        """Weight of the cross-entropy in force."""
        return self.sft_alpha if self.llm_kd_weight else 1.0


class FeatureSection(Section):
    """How one kind of features counts, where it differs from the others."""

    weight: Weight | None = Field(default=None, description="Weight; default visual_kd.weight.")
    distance: Distance | None = Field(default=None, description="Distance; default visual_kd.distance.")


class VisualKdSection(Section):
    """Keep the photos' features close to the teacher's. Needs ``rlhf``, which names the teacher."""

    enabled: bool = Field(default=True, description="Whether it counts.")
    weight: Weight = Field(default=0.0, description="Weight of the mean over targets of their distance.")
    targets: Annotated[tuple[FeatureKind, ...], BeforeValidator(_kinds)] = Field(
        default=("merger", "deepstack"),
        description="`merger`: the image tokens; `deepstack`: the mean over its layers.",
    )
    distance: Distance = Field(
        default="mse", description="Per image token: mean squared difference, or 1 - cosine of the angle."
    )
    merger: FeatureSection = Field(default=FeatureSection(), description="The merger's own weight and distance.")
    deepstack: FeatureSection = Field(default=FeatureSection(), description="Deepstack's own weight and distance.")

    def weight_of(self, kind: FeatureKind) -> float:
        """The weight of a target in force."""
        own = getattr(self, kind).weight
        return self.weight if own is None else own

    def distance_of(self, kind: FeatureKind) -> Distance:
        """The distance of a target in force."""
        return getattr(self, kind).distance or self.distance
