"""Builds the distiller of a run from its configuration: teacher, cache and generators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer.model import network, tuners
from trainer.model.collate import Collator
from trainer.model.encode import Encoder
from trainer.model.liger import use_liger_kernels
from trainer.training.answers import AnswerGenerator, GeneratingStudent, StudentGenerator
from trainer.training.arguments import autocasts, weight_dtype
from trainer.training.distiller import Distiller, objective_of
from trainer.training.generation import ModelGenerator
from trainer.training.logs import get_logger
from trainer.training.served_student import ServedStudent
from trainer.training.student_server import StudentServer, start_command
from trainer.training.teacher import (
    AdapterOffTeacher,
    Teacher,
    check_tokenizers,
    is_base,
    load_teacher_copy,
    teacher_directory,
)
from trainer.training.teacher_cache import TeacherCache, fingerprint

if TYPE_CHECKING:
    from trainer.config import RlhfSection, TrainConfig

LOG = get_logger("trainer.run")


def build_distiller(
    config: TrainConfig, model: Any, base: str, encoder: Encoder, collator: Collator, args: Any, attn_impl: str
) -> Distiller | None:
    """The run's distiller; None without ``rlhf``. Also sets the model's ``objective``.

    Raises:
        InvalidValue: the teacher does not exist, or does not fit the student.
        StudentServerLost: the vLLM server of the student is unavailable.
    """
    objective, rlhf = objective_of(config), config.rlhf
    if objective is None or rlhf is None:
        return None
    inner = model.get_base_model() if tuners.is_adapter(model) else model
    inner.objective = objective
    directory = teacher_directory(config, base)
    teacher = _teacher(config, model, base, directory, args, attn_impl)
    cache = None
    if rlhf.teacher_cache is not None:
        half = autocasts(config)
        name = fingerprint(directory, temperature=rlhf.temperature, top_k=rlhf.teacher_cache.top_k, half=half)
        cache = TeacherCache(Path(rlhf.teacher_cache.path).expanduser(), name, top_k=rlhf.teacher_cache.top_k)
    answers = None
    if rlhf.generates:
        generation = ModelGenerator(
            image_token=encoder.image_token,
            end_token=encoder.end_token,
            pad_token=encoder.pad_token,
            max_tokens=rlhf.max_completion_length,
            max_length=config.max_length,
            temperature=rlhf.temperature,
        )
        if rlhf.use_vllm:
            student: StudentGenerator = _served_student(config, rlhf, base, encoder)
        else:
            student = GeneratingStudent(generation, rank=args.process_index)
        answers = AnswerGenerator(rlhf, generation, collator, teacher, student, seed=config.training.seed)
    merge_size = inner.config.vision_config.spatial_merge_size
    return Distiller(teacher, objective, merge_size=merge_size, cache=cache, answers=answers)


def _teacher(config: TrainConfig, model: Any, base: str, directory: Path, args: Any, attn_impl: str) -> Teacher:
    if is_base(model, config.tuner, base, directory):
        LOG.info("teacher: the student with its adapter off")
        return AdapterOffTeacher(model)
    check_tokenizers(Path(base), directory)
    half = torch.bfloat16 if autocasts(config) else None
    teacher = load_teacher_copy(
        model, directory, dtype=weight_dtype(config), attn_impl=attn_impl, device=args.device, autocast_to=half
    )
    if config.training.use_liger_kernel:
        use_liger_kernels(teacher.model)
    if config.training.torch_compile:
        network.compile_blocks(teacher.model)
    return teacher


def _served_student(config: TrainConfig, rlhf: RlhfSection, base: str, encoder: Encoder) -> ServedStudent:
    server = StudentServer(
        f"http://{rlhf.vllm_server_host}:{rlhf.vllm_server_port}",
        image_token=encoder.image_token,
        end_token=encoder.end_token,
        timeout_s=rlhf.vllm_server_timeout,
        start=start_command(base, port=rlhf.vllm_server_port, rank=config.tuner.lora_rank),
    )
    LOG.info(
        "student answers: from the vLLM server at %s, updated every %d steps", server.url, rlhf.vllm_sync_frequency
    )
    return ServedStudent(
        server,
        encoder.pixels,
        directory=config.training.run_dir / "served_student",
        every=rlhf.vllm_sync_frequency,
        max_tokens=rlhf.max_completion_length,
        max_length=config.max_length,
        temperature=rlhf.temperature,
    )
