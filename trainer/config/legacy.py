"""Old names that are accepted, and keys that are rejected with a sentence about what replaces them.

Both tables are keyed by dotted path. Old names are replaced in each file before files are merged, so that a file may
override a base that uses the other name.
"""

from __future__ import annotations

ALIASES = {
    "inherit": "extends",
    "model.dtype": "model.torch_dtype",
    "model.attn_implementation": "model.attn_impl",
    "template.truncation": "template.truncation_strategy",
    "tuner.train_type": "tuner.tuner_type",
    "tuner.target_module": "tuner.target_modules",
    "tuner.packing": "training.packing",
    "training.optim": "training.optimizer",
    "training.evaluation_strategy": "training.eval_strategy",
    "data.dataloader_num_workers": "training.dataloader_num_workers",
    "data.dataloader_pin_memory": "training.dataloader_pin_memory",
    "data.dataloader_prefetch_factor": "training.dataloader_prefetch_factor",
    "data.dataloader_persistent_workers": "training.dataloader_persistent_workers",
    "custom.jsonl": "custom.train_jsonl",
    "custom.save_delay_steps": "training.save_delay_steps",
    "custom.save_delay_epochs": "training.save_delay_epochs",
    "custom.save_last_epoch": "training.save_last_epoch",
    "deepspeed.stage": "deepspeed.config",
}
"""Accepted name → the schema's name."""

VALUE_ALIASES = {
    ("model.torch_dtype", "bf16"): "bfloat16",
    ("model.torch_dtype", "fp32"): "float32",
    ("model.attn_impl", "flash_attn"): "flash_attention_2",
    ("training.optimizer", "adamw_torch"): "adamw",
    ("training.optimizer", "adamw_torch_fused"): "adamw",
    ("tuner.init_weights", True): "true",
}
"""(key, accepted value) → the schema's value."""

_WORDS = (
    "prompts are defined in the inspection's prompts.yaml, which the service uses too, and a checkpoint trained with "
    "other prompts is rejected by its digest; change them there"
)
_SERVER = "it is an option of the vLLM server; pass it when starting the server (docs/training.md) and remove it here"
_PIXELS = "the checkpoint's preprocessor_config.json defines the pixel budget for training and serving; change it there"

REFUSED = {
    "rlhf.vllm_server_base_url": "use rlhf.vllm_server_host and rlhf.vllm_server_port",
    **{
        f"rlhf.vllm_{name}": _SERVER
        for name in (
            "gpu_memory_utilization",
            "tensor_parallel_size",
            "pipeline_parallel_size",
            "max_model_len",
            "max_num_seqs",
            "enforce_eager",
            "enable_prefix_caching",
            "limit_mm_per_prompt",
            "enable_lora",
            "max_lora_rank",
        )
    },
    "rlhf.teacher_model_server": "the teacher runs in the training process; name its checkpoint in rlhf.teacher_model",
    "rlhf.teacher_model_type": "the teacher's config.json names its type; remove it",
    "rlhf.teacher_adapters": "run `vqc-train export` on the adapter and name the merged model in rlhf.teacher_model",
    "rlhf.teacher_deepspeed": "a separate teacher is loaded completely on every device; remove it",
    "rlhf.offload_teacher_model": "a teacher that is the student with its adapter off needs no memory; remove it",
    "rlhf.gkd_logits_topk": "the whole vocabulary is compared in chunks; to store the teacher's likeliest tokens on disk "
    "use rlhf.teacher_cache",
    "quantization": "training starts from bfloat16 or float32 weights; remove this section",
    "model.trust_remote_code": "code from a checkpoint is never executed; remove it",
    "model.model_type": "the checkpoint's config.json names its type; remove it",
    "model.max_pixels": _PIXELS,
    "model.device_map": "accelerate places the model (start with torchrun or accelerate launch); remove it",
    "template.system": _WORDS,
    "template.max_pixels": _PIXELS,
    "template.padding_side": "padding never changes a result (labels and attention are masked); remove it",
    "tuner.use_swift_lora": "adapters are always peft's; remove it",
    "tuner.adapters": "name the earlier stage in tuner.resume_from_checkpoint",
    "tuner.freeze_parameters": "choose towers with freeze_llm, freeze_vit, freeze_aligner or use target_regex",
    "tuner.trainable_parameters": "choose towers with freeze_llm, freeze_vit, freeze_aligner or use modules_to_save",
    "training.fp16": "use bf16: true (or torch_dtype: float32 with bf16: false); float16 overflows in this model",
    "training.padding_free": "use packing: true, which packs without padding",
    "training.lazy_tokenize": "samples are always encoded in the data loading processes; remove it",
    "training.logging_dir": "TensorBoard files go to the run directory (training.output_dir/run_name); remove it",
    "training.remove_unused_columns": "batches contain only the model's inputs; remove it",
    "training.deepspeed": "use the section `deepspeed: {enabled: true, config: zero2}`",
    "training.data_seed": "training.seed is the one seed; remove it",
    "training.effective_batch_size": "set per_device_train_batch_size and gradient_accumulation_steps",
    "data.lazy_tokenize": "samples are always encoded in the data loading processes; remove it",
    "data.packing": "move it to the section training",
    "data.split_dataset_ratio": "write the evaluation records to a separate file and name it in custom.val_jsonl",
    "data.dataset_num_proc": "use training.dataloader_num_workers",
    "custom.user_prompt": _WORDS,
    "custom.system_prompt_summary": _WORDS,
    "custom.json_format": "answers always have the format of vqc.codec; remove it",
    "custom.assistant_prefix_format": "answers always have the format of vqc.codec; remove it",
    "custom.object_ordering_policy": "objects are always in reading order of their reference points; remove it",
    "custom.output_variant": "use custom.use_summary (all summaries) or custom.summary_ratio (mixed)",
    "custom.images_per_user_turn": "each photo is one sample, and a ticket's record holds all of its photos; remove it",
    "custom.fusion_config": "concatenate the JSONL files instead",
    "custom.augmentation_curriculum": "train in stages with `extends` and tuner.resume_from_checkpoint instead",
    "prompts.system": _WORDS,
    "prompts.user": _WORDS,
    "prompts.output_variant": "use custom.use_summary (all summaries) or custom.summary_ratio (mixed)",
}
"""Rejected key → what replaces it."""
