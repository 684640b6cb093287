"""The frozen teacher: the student with its adapter off if that is the same model, else a separate copy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from transformers import AutoTokenizer
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from typing_extensions import override

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
    """A frozen model that runs on the student's batches. ``shares_trunk``: its vision encoder equals the student's."""

    shares_trunk: bool

    @property
    def head(self) -> torch.nn.Module:
        """The output head, which computes logits from hidden states."""
        ...

    def run(self, student: Any, inputs: dict[str, Any], request: TeacherRequest) -> TeacherOutput:
        """The output for a collated batch. ``student`` is the model as it is trained, with its parallel wrappers."""
        ...

    def generating_model(self) -> AbstractContextManager[Any]:
        """The model to generate with, inside the block."""
        ...


class AdapterOffTeacher(Teacher):
    """The student's base model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.shares_trunk = not _trains_trunk(model)

    @property
    @override
    def head(self) -> torch.nn.Module:
        head = self._model.get_base_model().lm_head
        return getattr(head, "original_module", None) or getattr(head, "base_layer", None) or head

    @override
    def run(self, student: Any, inputs: dict[str, Any], request: TeacherRequest) -> TeacherOutput:
        # Through the wrappers: FSDP gathers the weights of a block only in the hooks of the wrapped model.
        with torch.no_grad(), self.generating_model():
            return student(**inputs, teacher_request=request)

    @contextmanager
    @override
    def generating_model(self) -> Iterator[Any]:
        self._model.base_model.disable_adapter_layers()
        try:
            yield self._model
        finally:
            self._model.base_model.enable_adapter_layers()


class CopiedTeacher(Teacher):
    """A separate model, complete on every device. With ``autocast_to`` it computes in that precision."""

    def __init__(self, model: Any, student: Any, autocast_to: torch.dtype | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self._autocast_to = autocast_to
        self.shares_trunk = not _trains_trunk(student) and _same_trunk(model, student)

    @property
    @override
    def head(self) -> torch.nn.Module:
        return self.model.lm_head

    @override
    def run(self, student: Any, inputs: dict[str, Any], request: TeacherRequest) -> TeacherOutput:
        device, to = self.model.device.type, self._autocast_to
        with torch.no_grad(), torch.autocast(device, to, enabled=to is not None):
            return self.model(**inputs, teacher_request=request)

    @override
    def generating_model(self) -> AbstractContextManager[Any]:
        return nullcontext(self.model)


def teacher_directory(config: TrainConfig, base: str) -> Path:
    """The directory of the teacher's checkpoint: ``rlhf.teacher_model``, else what the run starts from (``base``).

    Raises:
        InvalidValue: there is no such checkpoint, or no such version in the registry.
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
    """Whether the teacher equals the student with its adapter off."""
    # Trained biases, and initialisations that subtract from the base weight, change the base itself.
    unchanged = tuner.lora_bias == "none" and tuner.init_weights in ("true", "gaussian")
    return tuners.is_adapter(model) and unchanged and Path(base).resolve() == teacher.resolve()


def load_teacher_copy(
    student: Any,
    directory: Path,
    *,
    dtype: torch.dtype,
    attn_impl: str,
    device: torch.device,
    autocast_to: torch.dtype | None = None,
) -> CopiedTeacher:
    """Loads a teacher from a checkpoint directory to a device.

    Raises:
        InvalidValue: its tokens differ from the student's, or ZeRO-3 would shard it.
    """
    if is_deepspeed_zero3_enabled():
        raise InvalidValue(
            "deepspeed.config",
            "zero3",
            "shards every loaded model, a frozen teacher too; use zero2, training.fsdp, or an adapter over the teacher",
        )
    inner = student.get_base_model() if tuners.is_adapter(student) else student
    model = network.load(directory, dtype=dtype, attn_impl=attn_impl, pixel_table=inner.pixel_table_CV.cpu().numpy())
    for name in ("image_token_id", "vocab_size"):
        ours, its = (_setting(of.config, name) for of in (inner, model))
        if ours != its:
            raise InvalidValue(
                "rlhf.teacher_model",
                str(directory),
                f"must have the student's tokens: its {name} is {its}, not {ours}",
            )
    LOG.info("teacher: a frozen copy of %s", directory)
    model.to(device)  # type: ignore[arg-type]
    return CopiedTeacher(model, student, autocast_to)


def check_tokenizers(student: Path, teacher: Path) -> None:
    """Checks that student and teacher have the same vocabulary.

    Raises:
        InvalidValue: the vocabularies differ.
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
