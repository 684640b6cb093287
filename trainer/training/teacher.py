"""The frozen teacher: the student with its adapter off where that is the same model, else a copy of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from transformers import AutoTokenizer
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from trainer.model import network, tuners
from trainer.model.distillation import TeacherOutput, TeacherRequest
from trainer.model.towers import Tower, tower_of
from trainer.training.logs import get_logger
from trainer.training.provenance import local_directory
from vqc.errors import InvalidValue

if TYPE_CHECKING:
    from trainer.config import TrainConfig, TunerSection

LOG = get_logger("trainer.run")


class Teacher(Protocol):
    """A model that answers for a batch without learning from it. ``shares_trunk``: its vision encoder is the student's."""

    shares_trunk: bool

    @property
    def head(self) -> torch.nn.Module:
        """What makes logits of its hidden states."""
        ...

    def run(self, student: Any, inputs: dict[str, Any], request: TeacherRequest) -> TeacherOutput:
        """What it makes of a collated batch. ``student`` is the model as it is trained, parallel wrappers included."""
        ...

    def generating_model(self) -> AbstractContextManager[Any]:
        """The model to generate with, for as long as it is open."""
        ...


class AdapterOffTeacher:
    """The student's own base."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.shares_trunk = not _trains_trunk(model)

    @property
    def head(self) -> torch.nn.Module:
        """The head as it was before tuning."""
        head = self._model.get_base_model().lm_head
        return getattr(head, "original_module", None) or getattr(head, "base_layer", None) or head

    def run(self, student: Any, inputs: dict[str, Any], request: TeacherRequest) -> TeacherOutput:
        """The base's answer, through the student's parallel wrappers."""
        with torch.no_grad(), self.generating_model():
            return student(**inputs, teacher_request=request)

    @contextmanager
    def generating_model(self) -> Iterator[Any]:
        """The model with its adapter off."""
        self._model.base_model.disable_adapter_layers()
        try:
            yield self._model
        finally:
            self._model.base_model.enable_adapter_layers()


class CopiedTeacher:
    """A model of its own, whole on every device; with ``autocast_to`` it computes in that precision."""

    def __init__(self, model: Any, student: Any, autocast_to: torch.dtype | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self._autocast_to = autocast_to
        self.shares_trunk = not _trains_trunk(student) and _same_trunk(model, student)

    @property
    def head(self) -> torch.nn.Module:
        """Its own head."""
        return self.model.lm_head

    def run(self, student: Any, inputs: dict[str, Any], request: TeacherRequest) -> TeacherOutput:
        """Its answer; the student is not asked."""
        device, to = self.model.device.type, self._autocast_to
        with torch.no_grad(), torch.autocast(device, to, enabled=to is not None):
            return self.model(**inputs, teacher_request=request)

    def generating_model(self) -> AbstractContextManager[Any]:
        """Itself."""
        return nullcontext(self.model)


def teacher_directory(config: TrainConfig, base: str) -> Path:
    """Where the teacher's checkpoint is: named by ``rlhf.teacher_model``, or what the run starts from (``base``).

    Raises:
        InvalidValue: no such checkpoint, or no such version in the registry.
    """
    named = config.rlhf.teacher_model if config.rlhf is not None else None
    if named is None:
        return Path(base)
    where = os.environ.get("VQC_REGISTRY")
    if where and "/" not in named and not Path(named).expanduser().is_dir():
        from registry import RegistryError, open_registry

        cache = Path(os.environ.get("VQC_MODEL_CACHE", "output/models")).expanduser()
        try:
            return open_registry(where).materialise(named, cache)
        except (RegistryError, InvalidValue) as error:
            raise InvalidValue("rlhf.teacher_model", named, f"must be a version of {where!r}: {error}") from error
    try:
        return local_directory(named).resolve()
    except InvalidValue as error:
        valid = (
            "must be a checkpoint directory, a model in the local Hugging Face cache, or with VQC_REGISTRY a version"
        )
        raise InvalidValue("rlhf.teacher_model", named, valid) from error


def is_base(model: Any, tuner: TunerSection, base: str, teacher: Path) -> bool:
    """Whether the teacher is what is left of the student when its adapter is off."""
    untouched = tuner.lora_bias == "none" and tuner.init_weights in ("true", "gaussian")
    return tuners.is_adapter(model) and untouched and Path(base).resolve() == teacher.resolve()


def load_teacher_copy(
    student: Any,
    directory: Path,
    *,
    dtype: torch.dtype,
    attn_impl: str,
    device: torch.device,
    autocast_to: torch.dtype | None = None,
) -> CopiedTeacher:
    """The teacher of a checkpoint directory on a device, computing in ``autocast_to`` where that is given.

    Raises:
        InvalidValue: it speaks other tokens than the student, or would be sharded where nobody puts it together.
    """
    if is_deepspeed_zero3_enabled():
        raise InvalidValue(
            "deepspeed.config",
            "zero3",
            "shards every model that is loaded, a frozen teacher too; use zero2, training.fsdp, or an adapter over the teacher",
        )
    inner = student.get_base_model() if tuners.is_adapter(student) else student
    model = network.load(directory, dtype=dtype, attn_impl=attn_impl, pixel_table=inner.pixel_table_CV.cpu().numpy())
    for name in ("image_token_id", "vocab_size"):
        ours, its = (_setting(of.config, name) for of in (inner, model))
        if ours != its:
            raise InvalidValue(
                "rlhf.teacher_model",
                str(directory),
                f"must speak the student's tokens: its {name} is {its}, not {ours}",
            )
    LOG.info("teacher: a frozen copy of %s", directory)
    model.to(device)  # type: ignore[arg-type]
    return CopiedTeacher(model, student, autocast_to)


def check_tokenizers(student: Path, teacher: Path) -> None:
    """Nothing, or that the teacher gives other tokens the same ids.

    Raises:
        InvalidValue: their vocabularies differ.
    """
    ours, its = (AutoTokenizer.from_pretrained(directory).get_vocab() for directory in (student, teacher))
    if ours != its:
        other = sorted(token for token in ours.keys() | its.keys() if ours.get(token) != its.get(token))
        raise InvalidValue(
            "rlhf.teacher_model",
            str(teacher),
            f"must have the student's vocabulary; {len(other)} tokens differ, such as {other[0]!r}",
        )


def _setting(config: Any, name: str) -> int:
    return getattr(config, name, None) or getattr(config.text_config, name)


def _trains_trunk(model: Any) -> bool:
    return any(p.requires_grad and tower_of(name) is Tower.VIT for name, p in model.named_parameters())


def _same_trunk(teacher: Any, student: Any) -> bool:
    inner = student.get_base_model() if tuners.is_adapter(student) else student
    ours, its = (
        {name: p for name, p in model.named_parameters() if tower_of(name) is Tower.VIT} for model in (inner, teacher)
    )
    same = ours.keys() == its.keys()
    return same and all(
        p.shape == its[name].shape and torch.equal(p.cpu(), its[name].cpu()) for name, p in ours.items()
    )
