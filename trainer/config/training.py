"""Section ``training``: the loop, the optimizer, the schedule, checkpoints, evaluation and logging."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from trainer.config.section import Positive, Probability, Section, Strings

Strategy = Literal["no", "steps", "epoch"]
Rate = Annotated[float, Field(gt=0)]
MIN_LR_SCHEDULERS = ("cosine_warmup_with_min_lr", "cosine_with_min_lr")


class SchedulerKwargs(Section):
    """``lr_scheduler_kwargs``: options of the schedule."""

    min_lr: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="Learning rate at the end of the cosine, the same for all parameter groups.",
    )
    min_lr_rate: Probability | None = Field(
        default=None, description="Learning rate at the end of the cosine, as a share of each group's own peak rate."
    )


class TrainingSection(Section):
    """The training run."""

    output_dir: str = Field(description="Directory of checkpoints and logs; run_name is appended to it.")
    run_name: str | None = Field(
        default=None, description="Name of the run: a subdirectory of output_dir, and the title in logs."
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        default=42, description="The only seed: initialisation, order of samples, augmentation, dropout."
    )

    num_train_epochs: Annotated[float, Field(gt=0)] = Field(default=3.0, description="Passes over the training data.")
    max_steps: Positive | None = Field(
        default=None, description="Number of optimizer steps; replaces num_train_epochs."
    )
    per_device_train_batch_size: Positive = Field(
        default=1,
        description="Samples per micro-batch and device; with packing, packed rows of packing_length tokens.",
    )
    per_device_eval_batch_size: Positive = Field(
        default=1, description="Samples per batch and device in evaluation; with packing, packed rows."
    )
    gradient_accumulation_steps: Positive = Field(default=1, description="Micro-batches per optimizer step.")
    packing: bool = Field(
        default=False, description="Put several samples into one row without padding; attention stays within a sample."
    )
    packing_length: Positive | None = Field(
        default=None, description="Length of a packed row, tokens; default template.max_length."
    )
    group_by_length: bool = Field(default=False, description="Batch samples of similar length, which saves padding.")

    optimizer: Literal["adamw", "multimodal", "muon"] | None = Field(
        default=None,
        description="`multimodal`: AdamW with separate rates for vision encoder, aligner and language model. Default: "
        "multimodal when vit_lr or aligner_lr is set, else adamw. `muon` trains hidden matrices with Muon, the rest with "
        "AdamW. adamw_torch and adamw_torch_fused are accepted as adamw.",
    )
    learning_rate: Rate = Field(default=1e-4, description="Peak learning rate.")
    vit_lr: Rate | None = Field(
        default=None, description="Peak learning rate of the vision encoder; default learning_rate."
    )
    aligner_lr: Rate | None = Field(
        default=None, description="Peak learning rate of the aligner; default learning_rate."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.1, description="AdamW weight decay; biases and norms have none."
    )
    adam_beta1: Probability = Field(default=0.9, description="AdamW beta 1.")
    adam_beta2: Probability = Field(default=0.95, description="AdamW beta 2.")
    adam_epsilon: Rate = Field(default=1e-8, description="AdamW epsilon.")
    max_grad_norm: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="Largest gradient norm, to which gradients are clipped; 0: no clipping."
    )
    lr_scheduler_type: Literal[
        "cosine_warmup_with_min_lr", "cosine_with_min_lr", "cosine", "linear", "constant", "constant_with_warmup"
    ] = Field(
        default="cosine_warmup_with_min_lr",
        description="Learning rate schedule; both *_with_min_lr names are the same.",
    )
    lr_scheduler_kwargs: SchedulerKwargs = Field(
        default_factory=lambda: SchedulerKwargs(), description="Options of the schedule."
    )
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Share of all steps during which the rate rises linearly from 0."
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Number of steps during which the rate rises linearly from 0; replaces warmup_ratio."
    )

    coordinate_sigma: Annotated[float, Field(ge=0, le=50)] = Field(
        default=0.0,
        description="Standard deviation of a coordinate's soft target over neighbouring numbers, norm1000 units; 0: hard "
        "targets. Needs a vocabulary in which 0 to 1000 are tokens (the demo model's, not Qwen's).",
    )

    bf16: bool = Field(default=True, description="Compute in bfloat16 autocast; false: compute in torch_dtype.")
    torch_compile: bool = Field(
        default=False,
        description="Compile each transformer block: takes half a minute at the start and gives the fastest steps on a GPU. "
        "Cannot be combined with use_liger_kernel.",
    )
    gradient_checkpointing: bool = Field(
        default=True, description="Recompute the language model's activations in the backward pass to save memory."
    )
    vit_gradient_checkpointing: bool | None = Field(
        default=None,
        description="Recompute the vision encoder's activations too; default: as gradient_checkpointing, off while the "
        "encoder is frozen.",
    )
    use_liger_kernel: bool = Field(
        default=False,
        description="Use Liger's Triton kernels: `rms_norm` and `swiglu` in the language model, `rope` in both towers. Its "
        "fused cross-entropy stays off. An error without a GPU or the package.",
    )
    fsdp: Literal["fsdp2"] | None = Field(default=None, description="Shard parameters over devices with PyTorch FSDP2.")

    eval_strategy: Strategy = Field(default="no", description="When to evaluate.")
    eval_steps: Positive | None = Field(default=None, description="Steps between evaluations; default logging_steps.")
    save_strategy: Literal["no", "steps", "epoch", "best"] = Field(
        default="steps", description="When to save a checkpoint; `best`: whenever metric_for_best_model improves."
    )
    save_steps: Positive = Field(default=500, description="Steps between checkpoints.")
    save_total_limit: Positive | None = Field(
        default=None, description="Number of checkpoints to keep; the best one is always kept."
    )
    save_last_epoch: bool = Field(
        default=True, description="Save a final checkpoint at the end, in addition to save_total_limit."
    )
    save_delay_steps: Positive | None = Field(
        default=None, description="No checkpoint, not even a best one, before this step; also accepted under custom."
    )
    save_delay_epochs: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="No checkpoint, not even a best one, before this epoch; also accepted under custom."
    )
    metric_for_best_model: str | None = Field(
        default=None, description="Evaluation metric that decides the best checkpoint, such as eval_loss."
    )
    greater_is_better: bool | None = Field(
        default=None,
        description="Whether a larger metric_for_best_model is better; default: false for names that end in loss, else true.",
    )
    load_best_model_at_end: bool = Field(default=False, description="Load the best checkpoint's weights at the end.")

    logging_steps: Positive = Field(default=10, description="Steps between log lines.")
    logging_first_step: bool = Field(default=True, description="Log step 1 too.")
    report_to: Strings = Field(
        default=("tensorboard",), description="`tensorboard` or `none`; logging.jsonl is always written."
    )

    dataloader_num_workers: Annotated[int, Field(ge=0)] = Field(
        default=4,
        description="Data loading processes per device; 0: load in the training process. Also accepted under data.",
    )
    dataloader_pin_memory: bool = Field(
        default=True, description="Page-locked batches, which copy faster to a GPU. Also accepted under data."
    )
    dataloader_prefetch_factor: Positive | None = Field(
        default=None, description="Batches that each worker loads ahead. Also accepted under data."
    )
    dataloader_persistent_workers: bool = Field(
        default=False, description="Keep workers between epochs. Also accepted under data."
    )

    resume_from_checkpoint: str | None = Field(
        default=None,
        description="Checkpoint of this run to continue from, with weights, optimizer, schedule and sample order.",
    )
    resume_only_model: bool = Field(default=False, description="Load only the weights of resume_from_checkpoint.")

    @property
    def run_dir(self) -> Path:
        """``output_dir``, with ``run_name`` appended if it is set."""
        return Path(self.output_dir, self.run_name) if self.run_name else Path(self.output_dir)

    @property
    def optimizer_name(self) -> Literal["adamw", "multimodal", "muon"]:
        """The active optimizer."""
        if self.optimizer:
            return self.optimizer
        return "multimodal" if self.vit_lr is not None or self.aligner_lr is not None else "adamw"
