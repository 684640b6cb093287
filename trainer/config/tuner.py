"""Section ``tuner``: which parameters are trained, by adapters or in full. Key names and defaults are ms-swift's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainer.config.section import Positive, Probability, Section, Strings

TunerType = Literal["lora", "full", "adalora", "boft", "fourierft"]


class TunerSection(Section):
    """What is trained, and how. ``freeze_*`` freeze towers; ``all-linear`` is every linear layer of the others."""

    tuner_type: TunerType = Field(default="lora", description="Kind of training; old name: train_type.")
    freeze_llm: bool = Field(default=False, description="Do not train the language model.")
    freeze_vit: bool = Field(
        default=True, description="Do not train the vision encoder (its mergers belong to the aligner)."
    )
    freeze_aligner: bool = Field(default=True, description="Do not train the aligner (merger and deepstack mergers).")
    target_modules: Strings = Field(
        default=("all-linear",),
        description="Endings of the names of modules that get an adapter; `all-linear`: all linear layers of the towers "
        "that are not frozen.",
    )
    target_regex: str | None = Field(
        default=None,
        description="Regular expression for the full names of modules that get an adapter; replaces target_modules.",
    )
    modules_to_save: Strings = Field(
        default=(),
        description="Full names of modules that are trained in full next to the adapter and merged on export. A module list "
        "is not allowed: name model.visual.deepstack_merger_list.0, .1, … each.",
    )
    lora_rank: Positive = Field(default=8, description="Rank of the LoRA matrices.")
    lora_alpha: Positive = Field(
        default=32, description="LoRA scale: updates are multiplied by lora_alpha / lora_rank."
    )
    lora_dropout: Probability = Field(default=0.05, description="Dropout probability on the adapter's input.")
    lora_bias: Literal["none", "all", "lora_only"] = Field(
        default="none", description="Biases that are trained with LoRA."
    )
    use_dora: bool = Field(default=False, description="Weight-decomposed LoRA.")
    use_rslora: bool = Field(default=False, description="Scale by lora_alpha / sqrt(lora_rank).")
    init_weights: Literal["true", "gaussian", "pissa", "olora"] = Field(
        default="true",
        description="Initialisation of the LoRA matrices; `true`: peft's default (the adapter starts as identity).",
    )
    adalora_target_r: Positive = Field(default=8, description="AdaLoRA: average rank at the end.")
    adalora_init_r: Positive = Field(default=12, description="AdaLoRA: rank at the start.")
    adalora_tinit: Annotated[int, Field(ge=0)] = Field(
        default=0, description="AdaLoRA: steps before the first pruning of ranks."
    )
    adalora_tfinal: Annotated[int, Field(ge=0)] = Field(
        default=0, description="AdaLoRA: steps with fixed ranks at the end."
    )
    adalora_deltaT: Positive = Field(default=1, description="AdaLoRA: steps between two prunings.")
    adalora_beta1: Probability = Field(default=0.85, description="AdaLoRA: smoothing of the sensitivity.")
    adalora_beta2: Probability = Field(default=0.85, description="AdaLoRA: smoothing of the uncertainty.")
    adalora_orth_reg_weight: Annotated[float, Field(ge=0)] = Field(
        default=0.5, description="AdaLoRA: weight of the orthogonality term in the loss."
    )
    boft_block_size: Annotated[int, Field(ge=0)] = Field(
        default=4, description="BOFT: side of a block; exactly one of boft_block_size and boft_block_num must be 0."
    )
    boft_block_num: Annotated[int, Field(ge=0)] = Field(default=0, description="BOFT: number of blocks.")
    boft_n_butterfly_factor: Positive = Field(default=1, description="BOFT: number of butterfly factors.")
    boft_dropout: Probability = Field(default=0.0, description="BOFT: multiplicative dropout probability.")
    fourier_n_frequency: Positive = Field(default=2000, description="FourierFT: learned frequencies of each layer.")
    fourier_scaling: Annotated[float, Field(gt=0)] = Field(default=300.0, description="FourierFT: scale of the update.")
    resume_from_checkpoint: str | None = Field(
        default=None,
        description="Checkpoint directory of an earlier stage: this run starts from its weights (adapter and "
        "modules_to_save) with a new optimizer at step 0. To continue an interrupted run use "
        "training.resume_from_checkpoint.",
    )
