"""Checks of ``rlhf`` and ``custom.visual_kd`` across keys, each with advice."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.config.root import TrainConfig

SERVED_KEYS = ("vllm_server_host", "vllm_server_port", "vllm_server_timeout", "vllm_sync_frequency")
MAX_SERVED_RANK = 512
"""Largest value that vLLM accepts for ``--max-lora-rank``."""

_OVER_THE_BASE: dict[str, tuple[object, ...]] = {
    "tuner_type": ("lora", "adalora", "boft", "fourierft"),
    "lora_bias": ("none",),
    "init_weights": ("true", "gaussian"),
}
"""Tuner keys and the values with which the base model under the adapter stays unchanged."""

_PLAIN_LORA: dict[str, tuple[object, ...]] = {
    **_OVER_THE_BASE,
    "tuner_type": ("lora",),
    "modules_to_save": ((),),
    "use_dora": (False,),
}
"""Tuner keys and the values with which the adapter is only LoRA matrices over an unchanged base."""


def distillation_findings(config: TrainConfig) -> Iterator[tuple[str, str]]:
    """Every inconsistency, as (dotted key, advice)."""
    yield from _visual_findings(config)
    rlhf = config.rlhf
    if rlhf is None:
        return
    sharded = bool(config.training.fsdp) or (config.deepspeed.enabled and config.deepspeed.config == "zero3")
    visual = config.custom.visual_kd
    if not rlhf.llm_kd_weight and not (visual and visual.enabled):
        yield (
            "rlhf.llm_kd_weight",
            "0 leaves nothing to distil; raise it, enable custom.visual_kd, or set rlhf to null",
        )
    yield from _served_findings(config)
    for key in ("lmbda", "seq_kd"):
        if not getattr(rlhf, key):
            continue
        if not rlhf.llm_kd_weight:
            yield f"rlhf.{key}", "has no effect with llm_kd_weight: 0, which ignores generated answers; set it to null"
        if sharded:
            yield f"rlhf.{key}", "answers cannot be generated from sharded weights; use zero2 or no sharding"
        if rlhf.teacher_cache is not None:
            yield (
                "rlhf.teacher_cache",
                f"has no effect with generated answers, which never repeat; set it or rlhf.{key} to null",
            )
    zero3 = config.deepspeed.enabled and config.deepspeed.config == "zero3"
    if zero3 and any(getattr(config.tuner, key) not in plain for key, plain in _OVER_THE_BASE.items()):
        yield (
            "deepspeed.config",
            "'zero3' shards every loaded model, a separate teacher too; use zero2, training.fsdp, or an adapter that leaves "
            "the base model, the teacher, unchanged",
        )
    if rlhf.teacher_cache is not None:
        if config.custom.augmentation.enabled and config.custom.augmentation.ops:
            names = ", ".join(op.name for op in config.custom.augmentation.ops)
            yield (
                "rlhf.teacher_cache",
                f"needs the same pixels in every epoch, but custom.augmentation changes them ({names}); set one to null",
            )
        if not rlhf.llm_kd_weight:
            yield "rlhf.teacher_cache", "has no effect with llm_kd_weight: 0; set it to null"
        if sharded:
            yield "rlhf.teacher_cache", "would deadlock the ranks with sharded weights; use zero2 or no sharding"


def _served_findings(config: TrainConfig) -> Iterator[tuple[str, str]]:
    """Parts of the student that a running vLLM server cannot load, so that it would answer as another model."""
    rlhf, tuner = config.rlhf, config.tuner
    assert rlhf is not None
    if not rlhf.use_vllm:
        for key in SERVED_KEYS:
            if getattr(rlhf, key) != type(rlhf).model_fields[key].get_default():
                yield f"rlhf.{key}", "has no effect without use_vllm: true; set it to null"
        return
    if not rlhf.lmbda:
        yield "rlhf.use_vllm", "has no effect with lmbda: 0.0; raise lmbda, or set it to null"
    instead = "train LoRA matrices only, or set rlhf.use_vllm to null to generate in the training process"
    only = "a running vLLM server loads plain LoRA matrices only"
    for key, plain in _PLAIN_LORA.items():
        if (value := getattr(tuner, key)) not in plain:
            shown = list(value) if isinstance(value, tuple) else value
            yield f"tuner.{key}", f"{shown!r} cannot be updated: {only}; {instead}"
    if tuner.lora_rank > MAX_SERVED_RANK:
        yield "tuner.lora_rank", f"{tuner.lora_rank} is above vLLM's limit, {MAX_SERVED_RANK}; {instead}"


def _visual_findings(config: TrainConfig) -> Iterator[tuple[str, str]]:
    visual, tuner = config.custom.visual_kd, config.tuner
    if visual is None or not visual.enabled:
        return
    if config.rlhf is None:
        yield (
            "custom.visual_kd",
            "needs a teacher: add `rlhf: {rlhf_type: gkd}`, with llm_kd_weight: 0.0 to distil features only",
        )
    if not visual.targets:
        yield "custom.visual_kd.targets", "is empty; name merger, deepstack or both"
    if not any(visual.weight_of(kind) for kind in visual.targets):
        yield "custom.visual_kd.weight", "is 0 for every target; give a weight above 0, or set enabled: false"
    for kind in ("merger", "deepstack"):
        if kind not in visual.targets and getattr(visual, kind).model_fields_set:
            yield f"custom.visual_kd.{kind}", f"has no effect: {kind!r} is not among the targets"
    if tuner.freeze_vit and tuner.freeze_aligner and tuner.target_regex is None and not tuner.modules_to_save:
        yield (
            "custom.visual_kd",
            "has no effect while vision encoder and aligner are frozen; unfreeze one of them or set it to null",
        )
