"""Normalises ms-swift's arguments: version 4's names, a single value as a list where a list is expected, types checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.convert.names import OLD_NAMES
from vqc.errors import InvalidValue

_KINDS: dict[str, tuple[type, ...]] = {
    "max_length": (int,),
    "gradient_accumulation_steps": (int,),
    "learning_rate": (int, float),
    **dict.fromkeys(
        (
            "model",
            "torch_dtype",
            "attn_impl",
            "template",
            "truncation_strategy",
            "optimizer",
            "eval_strategy",
            "output_dir",
        ),
        (str,),
    ),
    "run_name": (str,),
    "metric_for_best_model": (str,),
    "target_regex": (str,),
    "lr_scheduler_kwargs": (str, dict),
    "deepspeed": (str, dict),
    "fsdp_config": (str, dict),
    "init_weights": (str, bool),
}
"""Types of arguments whose default is None, or that accept other types than their default's."""


def arguments_of(given: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, Any]:
    """The given arguments, normalised.

    Raises:
        InvalidValue: a value of a type that ms-swift does not accept.
    """
    renamed = {OLD_NAMES.get(name, name): value for name, value in given.items()}
    if renamed.get("target_regex") is not None and renamed.get("target_modules") == renamed["target_regex"]:
        del renamed["target_modules"]  # args.json repeats target_regex there
    return {name: _normalise(name, value, defaults.get(name)) for name, value in renamed.items()}


def _normalise(name: str, value: object, default: object) -> object:
    if value is None:
        return list(default) if isinstance(default, list) else default
    if isinstance(default, list):
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InvalidValue(name, value, "must be text or a list of texts")
        return value
    kinds = _KINDS.get(name, () if default is None else (type(default),))
    if float in kinds or kinds == (int,):
        kinds = (int, float)
    accepted = not kinds or isinstance(value, kinds)
    if not accepted or (isinstance(value, bool) and kinds and bool not in kinds):  # a bool is an int in Python
        names = " or ".join(kind.__name__ for kind in kinds)
        raise InvalidValue(name, value, f"must be {names.replace('int or float', 'a number').replace('str', 'text')}")
    return value
