"""Selects what is trained: the whole model, some towers, or adapters on an exact set of modules.

``all-linear`` is every linear layer of the towers that are not frozen, except the output head. ``modules_to_save`` are
trained in full next to an adapter. If no module gets an adapter (``target_regex: '^$'``, the aligner playbook), peft
would raise an error: then exactly ``modules_to_save`` are trained, all else is frozen, and checkpoints hold the full model.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from trainer.model.towers import Tower, tower_of
from vqc.errors import InvalidValue, VqcError

if TYPE_CHECKING:
    from trainer.config import TunerSection

HEAD = "lm_head"
ADAPTER_FILE = "adapter_config.json"


class NothingToTrain(VqcError):
    """No parameter would be trained under this tuner section."""


class EarlierStageMismatch(VqcError):
    """The checkpoint of an earlier stage holds weights that do not fit this stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedModules:
    """The full names of the modules that get an adapter, and of those trained in full."""

    adapted: tuple[str, ...]
    in_full: tuple[str, ...]


def apply_tuner(model: nn.Module, tuner: TunerSection, *, total_steps: int = 1, masters: bool = False) -> Any:
    """Makes exactly the section's parameters trainable; returns the model, wrapped by peft if it gets an adapter.

    ``total_steps`` is the length of the run, for AdaLoRA's schedule. ``masters`` converts trained parameters next to
    frozen weights to float32, which needs autocast; full training keeps the loaded precision.

    Raises:
        NothingToTrain: every tower is frozen, or no module matches.
        InvalidValue: the model has no module of a given name.
    """
    if tuner.tuner_type == "full":
        _train_towers(model, tuner)
        _train_modules(model, _saved_names(model, tuner), freeze=False)
        return _require_trainable(model)
    found = targets(model, tuner)
    if not found.adapted:
        if not found.in_full:
            raise NothingToTrain(
                "no module gets an adapter: unfreeze a tower (tuner.freeze_llm, freeze_vit, freeze_aligner), or check "
                "target_modules and target_regex"
            )
        _train_modules(model, found.in_full, freeze=True)
    else:
        model = _with_adapter(model, tuner, found, total_steps)
    if masters:
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    return _require_trainable(model)


def is_adapter(model: object) -> bool:
    """Whether peft wraps the model, so that its checkpoints hold only an adapter."""
    return hasattr(model, "peft_config") and hasattr(model, "merge_and_unload")


def targets(model: nn.Module, tuner: TunerSection) -> TunedModules:
    """The modules that the section selects.

    Raises:
        InvalidValue: a name that matches no module, or a module that would get an adapter and be trained in full.
    """
    in_full = _saved_names(model, tuner)
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    every = [name for name, _ in model.named_modules() if name]
    if tuner.target_regex is not None:
        adapted = [name for name in every if re.fullmatch(tuner.target_regex, name)]
    else:
        chosen = set(_layers_of(linear, tuner))
        if "all-linear" in tuner.target_modules:
            frozen, inside = frozen_towers(tuner), tuple(f"{saved}." for saved in in_full)
            unfrozen = [name for name in linear if name != HEAD and tower_of(name) not in frozen]
            chosen |= {name for name in unfrozen if not name.startswith(inside)}
        adapted = [name for name in linear if name in chosen]
    both = [name for name in adapted if any(name == saved or name.startswith(f"{saved}.") for saved in in_full)]
    if both:
        raise InvalidValue(
            "tuner.modules_to_save", both[0], "a module can either get an adapter or be trained in full, not both"
        )
    return TunedModules(adapted=tuple(adapted), in_full=in_full)


def _layers_of(linear: Sequence[str], tuner: TunerSection) -> list[str]:
    """The linear layers that ``target_modules`` names beside ``all-linear``."""
    endings = [end for end in tuner.target_modules if end != "all-linear"]
    adapted = [name for name in linear if any(name == end or name.endswith(f".{end}") for end in endings)]
    missing = [end for end in endings if not any(name == end or name.endswith(f".{end}") for name in adapted)]
    if missing:
        raise InvalidValue("tuner.target_modules", missing, "name linear layers, such as q_proj or all-linear")
    return adapted


def frozen_towers(tuner: TunerSection) -> frozenset[Tower]:
    """The towers that the freeze flags freeze."""
    flags = {Tower.LLM: tuner.freeze_llm, Tower.VIT: tuner.freeze_vit, Tower.ALIGNER: tuner.freeze_aligner}
    return frozenset(tower for tower, frozen in flags.items() if frozen)


def target_pattern(adapted: tuple[str, ...]) -> str:
    """One regular expression that matches exactly these module names: layer numbers as alternatives, the rest literal.

    peft matches a string against the full name of a module, but the entries of a list against its ending.

    >>> target_pattern(("a.layers.0.q", "a.layers.1.q"))
    '(?:a\\\\.layers\\\\.(?:0|1)\\\\.q)'
    """
    families: dict[str, list[str]] = {}
    for name in adapted:
        numbers = re.findall(r"(?<=\.)\d+(?=\.)", name)
        families.setdefault(re.sub(r"(?<=\.)\d+(?=\.)", "#", name, count=1), []).append(numbers[0] if numbers else "")
    parts = [re.escape(family).replace(r"\#", f"(?:{'|'.join(numbers)})") for family, numbers in families.items()]
    return f"(?:{'|'.join(parts)})"


def load_earlier_stage(model: Any, checkpoint: Path) -> None:
    """Loads the adapter of an earlier stage. Each of its weights must fit a parameter of this stage.

    Raises:
        EarlierStageMismatch: modules, rank or kind differ; export that stage and start from the merged model instead.
    """
    from peft import load_peft_weights, set_peft_model_state_dict

    weights = load_peft_weights(str(checkpoint), device="cpu")
    own = dict(model.named_parameters())
    shapes = {name.replace(".default", ""): tuple(parameter.shape) for name, parameter in own.items()}
    for name, tensor in weights.items():
        # A file may name a module of ``modules_to_save`` without that part of its name in the model.
        place = shapes.get(name) or shapes.get(name.replace(".modules_to_save", ""))
        place = place or next((s for n, s in shapes.items() if n.replace(".modules_to_save", "") == name), None)
        if place != tuple(tensor.shape):
            raise EarlierStageMismatch(
                f"{name!r} of {str(checkpoint)!r} with shape {tuple(tensor.shape)} does not fit this stage: keep its "
                "modules among this stage's targets with the same rank, or run `vqc-train export` on it and start from "
                "the merged model"
            )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft warns about this stage's additional modules, which the file lacks
        set_peft_model_state_dict(model, weights)


def _train_towers(model: nn.Module, tuner: TunerSection) -> None:
    frozen = frozen_towers(tuner)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(tower_of(name) not in frozen)


def _train_modules(model: nn.Module, names: tuple[str, ...], *, freeze: bool) -> None:
    if freeze:
        model.requires_grad_(False)
    for name in names:
        model.get_submodule(name).requires_grad_(True)


def _saved_names(model: nn.Module, tuner: TunerSection) -> tuple[str, ...]:
    """``modules_to_save`` by full name; a module list is replaced by its members."""
    modules = dict(model.named_modules())
    names: list[str] = []
    for wanted in tuner.modules_to_save:
        found = [name for name in modules if name == wanted or name.endswith(f".{wanted}")]
        if not found:
            raise InvalidValue("tuner.modules_to_save", wanted, "name a module such as 'model.visual.merger'")
        for name in found:
            module = modules[name]
            members = [f"{name}.{child}" for child, _ in module.named_children()]
            names += members if isinstance(module, nn.ModuleList) else [name]
    return tuple(names)


def _with_adapter(model: nn.Module, tuner: TunerSection, found: TunedModules, total_steps: int) -> Any:
    import peft

    from trainer.model.low_rank import LowRankLinear

    common: dict[str, Any] = {
        "target_modules": target_pattern(found.adapted),
        "modules_to_save": list(found.in_full) or None,
    }
    lora: dict[str, Any] = {
        "r": tuner.lora_rank,
        "lora_alpha": tuner.lora_alpha,
        "lora_dropout": tuner.lora_dropout,
        "bias": tuner.lora_bias,
    }
    match tuner.tuner_type:
        case "lora":
            init = True if tuner.init_weights == "true" else tuner.init_weights
            config = peft.LoraConfig(
                **common, **lora, use_dora=tuner.use_dora, use_rslora=tuner.use_rslora, init_lora_weights=init
            )
            config._register_custom_module({nn.Linear: LowRankLinear})
        case "adalora":
            config = peft.AdaLoraConfig(
                **common,
                **lora,
                target_r=tuner.adalora_target_r,
                init_r=tuner.adalora_init_r,
                tinit=tuner.adalora_tinit,
                tfinal=tuner.adalora_tfinal,
                deltaT=tuner.adalora_deltaT,
                beta1=tuner.adalora_beta1,
                beta2=tuner.adalora_beta2,
                orth_reg_weight=tuner.adalora_orth_reg_weight,
                # peft rejects a schedule without a step between tinit and total_step - tfinal; a shorter run ends before.
                total_step=max(total_steps, tuner.adalora_tinit + tuner.adalora_tfinal + 1),
            )
        case "boft":
            config = peft.BOFTConfig(
                **common,
                boft_block_size=tuner.boft_block_size,
                boft_block_num=tuner.boft_block_num,
                boft_n_butterfly_factor=tuner.boft_n_butterfly_factor,
                boft_dropout=tuner.boft_dropout,
            )
        case "fourierft":
            config = peft.FourierFTConfig(
                **common, n_frequency=tuner.fourier_n_frequency, scaling=tuner.fourier_scaling
            )
        case _:
            raise InvalidValue("tuner.tuner_type", tuner.tuner_type, "must be an adapter")
    return peft.get_peft_model(model, config)  # type: ignore[arg-type]


def _require_trainable(model: Any) -> Any:
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise NothingToTrain(
            "there are no trainable parameters: tuner.freeze_llm, freeze_vit and freeze_aligner freeze every tower; "
            "unfreeze one or list modules_to_save"
        )
    return model
