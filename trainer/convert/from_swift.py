"""Converts ms-swift's arguments to this trainer's keys."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import PurePath
from typing import Any, get_args

from trainer.config.model import ModelSection, TemplateSection
from trainer.config.training import TrainingSection
from trainer.convert.arguments import arguments_of
from trainer.convert.flat import nest
from trainer.convert.names import SAME, TOWERS, WITHOUT_EFFECT, swift_defaults, why_lost
from trainer.convert.result import Conversion, LostKey
from trainer.convert.values import mapping, zero_stage

_UNSET: tuple[object, ...] = (None, "", [], {}, ())


def from_swift(arguments: Mapping[str, object]) -> Conversion:
    """Our configuration for a flat mapping of ms-swift's arguments (YAML, or a run's ``args.json``).

    A missing argument has ms-swift's default, even where ours differs.

    Raises:
        InvalidValue: a value of a type that ms-swift does not accept.
    """
    return _SwiftReader(arguments).conversion()


class _SwiftReader:
    """One conversion: ``given`` under ms-swift 4's names, ``whole`` with its defaults, ``tree`` by our dotted keys."""

    def __init__(self, arguments: Mapping[str, object]) -> None:
        defaults = swift_defaults()
        distils = arguments.get("rlhf_type") == "gkd"
        self.defaults = {**defaults["sft"], **(defaults["rlhf"] if distils else {})}
        self.given = arguments_of(arguments, self.defaults)
        self.whole: dict[str, Any] = {**self.defaults, **self.given}
        self.distils = distils
        self.tree: dict[str, object] = {}
        self.lost: list[LostKey] = []
        self.read: set[str] = set()

    def conversion(self) -> Conversion:
        self._same()
        self._model()
        self._tuner()
        self._loop()
        self._optimizer()
        self._sharding()
        self._data()
        self._evaluation()
        if self.take("rlhf_type") and not self.distils:
            self.lose("rlhf_type", "has no counterpart; only 'gkd' is supported")
        for name, value in self.given.items():
            if name not in self.read and name not in WITHOUT_EFFECT and not self._default(name, value):
                self.lose(name, why_lost(name))
        return Conversion(tree=nest(self.tree), lost=tuple(self.lost))

    def take(self, name: str) -> Any:
        """Returns ms-swift's value of an argument and marks it as converted."""
        self.read.add(name)
        return self.whole.get(name)

    def lose(self, name: str, why: str) -> None:
        """Records a value that cannot be converted."""
        self.lost.append(LostKey(key=name, value=self.whole.get(name), why=why))

    def put(self, key: str, value: object) -> None:
        """Sets one of our keys."""
        self.tree[key] = value

    def _default(self, name: str, value: object) -> bool:
        return value in _UNSET or (name in self.defaults and value == self.defaults[name])

    def _same(self) -> None:
        for ours, theirs in SAME.items():
            if ours.startswith("rlhf.") and not self.distils:
                continue
            value = self.take(theirs)
            if value not in _UNSET:
                whole = ours == "tuner.lora_alpha" and isinstance(value, float) and value.is_integer()
                self.put(ours, int(value) if whole else value)

    def _model(self) -> None:
        dtype = str(self.whole["torch_dtype"] or "bfloat16").removeprefix("torch.")
        self.put("model.torch_dtype", dtype)
        if dtype not in _choices(ModelSection, "torch_dtype"):
            self.lose("torch_dtype", "overflows in this model; bfloat16 is used")
            self.put("model.torch_dtype", "bfloat16")
        attention = {"flash_attn": "flash_attention_2"}.get(value := self.take("attn_impl"), value)
        if attention in _choices(ModelSection, "attn_impl"):
            self.put("model.attn_impl", attention)
        elif attention is not None:
            self.lose("attn_impl", "has no counterpart; auto uses PyTorch's varlen kernel when packing")
        length = self.take("max_length")
        self.read.add("max_model_len")
        if length is not None:
            self.put("global_max_length", length)
        else:
            self.lose(
                "max_length", "is the model's own limit in ms-swift; here it is 4096 unless global_max_length is set"
            )
        truncation = self.take("truncation_strategy") or "delete"
        self.put("template.truncation_strategy", truncation)
        if truncation not in _choices(TemplateSection, "truncation_strategy"):
            self.lose("truncation_strategy", "has no counterpart; 'delete' is used")
            self.put("template.truncation_strategy", "delete")

    def _tuner(self) -> None:
        if self.whole["target_regex"]:
            self.tree.pop("tuner.target_modules", None)
        if isinstance(self.whole["init_weights"], bool):
            self.put("tuner.init_weights", str(self.whole["init_weights"]).lower())
        if self.whole["tuner_type"] == "full":
            for name in ("freeze_parameters", "trainable_parameters"):
                if set(self.take(name)) - TOWERS:
                    self.lose(name, why_lost(name))
        adapters = self.take("adapters")
        if len(adapters) == 1 and not self.whole["resume_only_model"]:
            self.put("tuner.resume_from_checkpoint", adapters[0])
        elif len(adapters) > 1:
            self.lose("adapters", "only one is supported; merge all but the last into the model first")

    def _loop(self) -> None:
        name, directory = self.take("run_name"), self.take("output_dir")
        if name and directory and PurePath(directory).name == name:
            directory = str(PurePath(directory).parent)
        elif name:
            self.tree.pop("training.run_name", None)
            name = None
        self.put("training.output_dir", directory or "output")
        if name:
            self.put("training.run_name", name)
        if (steps := self.take("max_steps")) and steps > 0:
            self.put("training.max_steps", steps)
            self.tree.pop("training.num_train_epochs", None)
        if self.whole["gradient_accumulation_steps"] is None:
            size = self.whole["per_device_train_batch_size"]
            self.put("training.gradient_accumulation_steps", ceil(16 / size) if size in range(1, 16) else 1)
        self.put("training.bf16", self._bf16())
        if self.whole["vit_gradient_checkpointing"] and not self._vit_is_trained():
            self.tree.pop("training.vit_gradient_checkpointing")  # args.json has it for a frozen encoder too
        if self.whole["dataloader_num_workers"] == 0:
            self.put("training.dataloader_persistent_workers", False)
        reports = [place for place in self.whole["report_to"] if place in ("tensorboard", "none")]
        if reports != list(self.whole["report_to"]):
            self.lose("report_to", "only tensorboard is supported; logging.jsonl is always written")
        self.put("training.report_to", reports or ["none"])

    def _vit_is_trained(self) -> bool:
        named = any("visual.blocks" in name for name in self.whole["modules_to_save"])
        return not self.whole["freeze_vit"] or "tuner.target_regex" in self.tree or named

    def _bf16(self) -> bool:
        if self.take("fp16"):
            self.lose("fp16", why_lost("fp16"))
            return True
        bf16 = self.whole["bf16"]
        return bool(bf16) if bf16 is not None else self.tree["model.torch_dtype"] == "bfloat16"

    def _optimizer(self) -> None:
        if self.whole["learning_rate"] is None:
            self.put("training.learning_rate", 1e-5 if self.whole["tuner_type"] == "full" else 1e-4)
        chosen, optim = self.take("optimizer"), str(self.take("optim"))
        self.tree.pop("training.optimizer", None)
        if chosen == "multimodal":
            self.put("training.optimizer", chosen)
        elif chosen not in (None, "default"):
            self.lose("optimizer", "has no counterpart; AdamW is used")
        if not optim.startswith("adamw_torch"):
            self.lose("optim", "has no counterpart; AdamW is used")
        if self.whole["lr_scheduler_type"] not in _choices(TrainingSection, "lr_scheduler_type"):
            self.lose("lr_scheduler_type", "has no counterpart; 'cosine' is used")
            self.put("training.lr_scheduler_type", "cosine")
        for name, value in mapping("lr_scheduler_kwargs", self.take("lr_scheduler_kwargs") or {}).items():
            if name in ("min_lr", "min_lr_rate") and isinstance(value, int | float):
                self.put(f"training.lr_scheduler_kwargs.{name}", float(value))
            else:
                self.lost.append(LostKey(key=f"lr_scheduler_kwargs.{name}", value=value, why="has no counterpart"))

    def _sharding(self) -> None:
        self.tree.pop("training.fsdp", None)
        if deepspeed := self.take("deepspeed"):
            stage = zero_stage(deepspeed)
            if stage is None:
                self.lose("deepspeed", "has no counterpart; only zero2 and zero3 without offload are supported")
            else:
                self.put("deepspeed.enabled", True)
                self.put("deepspeed.config", stage)
        version = mapping("fsdp_config", self.whole.get("fsdp_config") or {}).get("fsdp_version", 2)
        if (sharded := self.take("fsdp")) == "fsdp2" or (sharded and version == 2):
            self.put("training.fsdp", "fsdp2")
        elif sharded:
            self.lose("fsdp", "has no counterpart; only 'fsdp2' is supported")

    def _data(self) -> None:
        for name, ours in (("dataset", "train"), ("val_dataset", "val")):
            named = [item for item in self.take(name) if item != "dummy"]
            if len(named) > 1:
                self.lose(name, "only one is supported; concatenate the JSONL files and name the result")
            elif named:
                path, _, limit = named[0].rpartition("#")
                self.put(f"custom.{ours}_jsonl", path if limit.isdecimal() and path else named[0])
                if limit.isdecimal() and path:
                    self.put(f"custom.{ours}_sample_limit", int(limit))
        if self.whole["norm_bbox"] == "none":
            self.lose("norm_bbox", "has no counterpart: coordinates are always norm1000, as in the service")
            self.tree.pop("custom.emit_norm", None)

    def _evaluation(self) -> None:
        strategy = self.whole["eval_strategy"] or self.whole["save_strategy"]
        if "custom.val_jsonl" not in self.tree:
            strategy = "no"
        self.put("training.eval_strategy", strategy)
        if strategy == "steps":
            self.put("training.eval_steps", self.whole["eval_steps"] or self.whole["save_steps"])
        else:
            self.tree.pop("training.eval_steps", None)
        metric = self.whole["metric_for_best_model"]
        if metric and not metric.startswith("eval_"):
            self.put("training.metric_for_best_model", f"eval_{metric}")
        if strategy == "no":
            for name in ("metric_for_best_model", "greater_is_better", "load_best_model_at_end"):
                self.tree.pop(f"training.{name}", None)
        if self.whole["save_strategy"] != "steps":
            self.tree.pop("training.save_steps", None)


def _choices(section: Any, name: str) -> tuple[str, ...]:
    return get_args(section.model_fields[name].annotation)
