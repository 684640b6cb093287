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
    """``lr_scheduler_kwargs``: what the chosen schedule takes."""

    min_lr: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="Learning rate at the end of the cosine, the same for every group, whatever its own rate.",
    )
    min_lr_rate: Probability | None = Field(default=None, description="The same as a share of each group's rate.")


class TrainingSection(Section):
    """The training run."""

    output_dir: str = Field(description="Directory of checkpoints and logs; run_name is appended.")
    run_name: str | None = Field(
        default=None, description="Name of the run: subdirectory of output_dir and title in logs."
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        default=42, description="The one seed: initialisation, order of samples, augmentation, dropout."
    )

    num_train_epochs: Annotated[float, Field(gt=0)] = Field(default=3.0, description="Passes over the training data.")
    max_steps: Positive | None = Field(default=None, description="Optimizer steps, instead of num_train_epochs.")
    per_device_train_batch_size: Positive = Field(
        default=1,
        description="Samples of one micro-batch and device; with packing, packed rows of packing_length tokens.",
    )
    per_device_eval_batch_size: Positive = Field(default=1, description="The same for evaluation.")
    gradient_accumulation_steps: Positive = Field(default=1, description="Micro-batches of one optimizer step.")
    packing: bool = Field(
        default=False, description="Put several samples into one row without padding; attention does not cross samples."
    )
    packing_length: Positive | None = Field(
        default=None, description="Tokens of a packed row; default template.max_length."
    )
    group_by_length: bool = Field(default=False, description="Batch samples of similar length to save padding.")

    optimizer: Literal["adamw", "multimodal", "muon"] | None = Field(
        default=None,
        description="`multimodal` gives vision, aligner and language their own rates; default: multimodal when vit_lr "
        "or aligner_lr is given, else adamw. `muon` trains hidden matrices with Muon, the rest with AdamW. "
        "adamw_torch and adamw_torch_fused are accepted as adamw.",
    )
    learning_rate: Rate = Field(default=1e-4, description="Peak learning rate.")
    vit_lr: Rate | None = Field(
        default=None, description="Peak learning rate of the vision encoder; default learning_rate."
    )
    aligner_lr: Rate | None = Field(
        default=None, description="Peak learning rate of the aligner; default learning_rate."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.1, description="AdamW weight decay, not on biases and norms."
    )
    adam_beta1: Probability = Field(default=0.9, description="AdamW beta 1.")
    adam_beta2: Probability = Field(default=0.95, description="AdamW beta 2.")
    adam_epsilon: Rate = Field(default=1e-8, description="AdamW epsilon.")
    max_grad_norm: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="Gradient norm is clipped to this; 0: never."
    )
    lr_scheduler_type: Literal[
        "cosine_warmup_with_min_lr", "cosine_with_min_lr", "cosine", "linear", "constant", "constant_with_warmup"
    ] = Field(default="cosine_warmup_with_min_lr", description="Schedule; both *_with_min_lr names mean the same.")
    lr_scheduler_kwargs: SchedulerKwargs = Field(
        default_factory=lambda: SchedulerKwargs(), description="Options of the schedule."
    )
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Share of all steps in which the rate rises linearly from 0."
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(
        default=0, description="The same in steps, instead of warmup_ratio."
    )

    coordinate_sigma: Annotated[float, Field(ge=0, le=50)] = Field(
        default=0.0,
        description="Spread of a coordinate's target over its neighbours, in norm1000 units; 0: the number alone. Needs a "
        "vocabulary with 0 to 1000 as tokens (the demo model's; not Qwen's).",
    )

    bf16: bool = Field(default=True, description="Compute in bfloat16 autocast; false computes in torch_dtype.")
    torch_compile: bool = Field(
        default=False,
        description="Compile each transformer block: half a minute at the start, the fastest steps on a GPU after. Not beside "
        "use_liger_kernel.",
    )
    gradient_checkpointing: bool = Field(
        default=True, description="Recompute the language model's activations in backward."
    )
    vit_gradient_checkpointing: bool | None = Field(
        default=None,
        description="The same for the vision encoder; default: as gradient_checkpointing, off while it is frozen.",
    )
    use_liger_kernel: bool = Field(
        default=False,
        description="Liger's Triton kernels: `rms_norm` and `swiglu` in the language model, `rope` in both towers; its fused "
        "cross-entropy stays off. Refused without a GPU or its package.",
    )
    fsdp: Literal["fsdp2"] | None = Field(default=None, description="Shard parameters over devices with PyTorch FSDP2.")

    eval_strategy: Strategy = Field(default="no", description="When to evaluate.")
    eval_steps: Positive | None = Field(default=None, description="Steps between evaluations; default logging_steps.")
    save_strategy: Literal["no", "steps", "epoch", "best"] = Field(
        default="steps", description="When to save a checkpoint; `best` saves whenever metric_for_best_model improves."
    )
    save_steps: Positive = Field(default=500, description="Steps between checkpoints.")
    save_total_limit: Positive | None = Field(
        default=None, description="Most checkpoints kept; the best is always kept."
    )
    save_last_epoch: bool = Field(
        default=True, description="Save a final checkpoint at the end, beyond save_total_limit."
    )
    save_delay_steps: Positive | None = Field(
        default=None, description="No checkpoint (best included) before this step; also accepted under custom."
    )
    save_delay_epochs: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="No checkpoint before this epoch; also accepted under custom."
    )
    metric_for_best_model: str | None = Field(
        default=None, description="Evaluation metric that decides the best checkpoint, such as eval_loss."
    )
    greater_is_better: bool | None = Field(
        default=None, description="Direction of metric_for_best_model; default: false for names that end in loss."
    )
    load_best_model_at_end: bool = Field(default=False, description="End with the best checkpoint's weights.")

    logging_steps: Positive = Field(default=10, description="Steps between log lines.")
    logging_first_step: bool = Field(default=True, description="Log step 1 too.")
    report_to: Strings = Field(
        default=("tensorboard",), description="tensorboard or none; logging.jsonl is always written."
    )

    dataloader_num_workers: Annotated[int, Field(ge=0)] = Field(
        default=4,
        description="Data loading processes of each device; 0 loads in the training process. Also under data.",
    )
    dataloader_pin_memory: bool = Field(default=True, description="Page-locked batches. Also under data.")
    dataloader_prefetch_factor: Positive | None = Field(
        default=None, description="Batches each worker loads ahead. Also under data."
    )
    dataloader_persistent_workers: bool = Field(
        default=False, description="Keep workers between epochs. Also under data."
    )

    resume_from_checkpoint: str | None = Field(
        default=None, description="Checkpoint of this run to continue from: weights, optimizer, schedule, sample order."
    )
    resume_only_model: bool = Field(default=False, description="Take only the weights from resume_from_checkpoint.")

    @property
    def run_dir(self) -> Path:
        """``output_dir``, with ``run_name`` appended when there is one."""
        return Path(self.output_dir, self.run_name) if self.run_name else Path(self.output_dir)

    @property
    def optimizer_name(self) -> Literal["adamw", "multimodal", "muon"]:
        """The optimizer in force."""
        if self.optimizer:
            return self.optimizer
        return "multimodal" if self.vit_lr is not None or self.aligner_lr is not None else "adamw"
