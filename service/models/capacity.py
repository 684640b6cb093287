"""Whether one more engine fits beside those that are running: in the machine's memory or on its GPU."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from engine.profile import EngineSettings
from service.models.deployment import Checkpoint

CPU_OVERHEAD_GIB = 3.0
"""Memory of a CPU engine besides weights and cache: Python, torch, activations."""

_GIB = 2**30


async def fits(settings: EngineSettings, checkpoint: Checkpoint) -> bool:
    """Whether an engine with these settings on this version fits into the memory that is free now."""
    if settings.hardware == "gpu":
        free = await _free_share_of_gpu()
        return free is not None and free >= settings.gpu_memory_utilization
    free_gib = _available_gib()
    directories = [checkpoint.directory, *([checkpoint.base] if checkpoint.base else [])]
    needed_gib = sum(map(_weights_gib, directories)) + settings.kv_cache_gib + CPU_OVERHEAD_GIB
    return free_gib is not None and free_gib >= needed_gib


async def _free_share_of_gpu() -> float | None:
    """The free part (0 to 1) of the memory of the first GPU that engines may use; None if it is not known."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    process = await asyncio.create_subprocess_exec(
        *(command, "--query-gpu=memory.free,memory.total", "--format=csv,noheader,nounits"),
        *((f"--id={visible}",) if visible else ()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return free_share((await process.communicate())[0].decode())


def free_share(csv: str) -> float | None:
    """The free part in the first line of ``free, total``; None if there is no such line.

    >>> free_share("40000, 80000\\n")
    0.5
    """
    try:
        free, total = map(float, csv.splitlines()[0].split(","))
    except (IndexError, ValueError):
        return None
    return free / total


def available_gib(meminfo: str) -> float | None:
    """``MemAvailable`` of /proc/meminfo.

    >>> available_gib("MemTotal: 9 kB\\nMemAvailable:   2097152 kB\\n")
    2.0
    """
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / _GIB
    return None


def _available_gib() -> float | None:
    """Free memory, within the limit of the process's control group if it has one."""
    try:
        free = available_gib(Path("/proc/meminfo").read_text("ascii"))
    except OSError:
        return None
    in_cgroup = _free_in_cgroup(Path("/sys/fs/cgroup"))
    return free if in_cgroup is None or free is None else min(free, in_cgroup / _GIB)


def _free_in_cgroup(group: Path) -> int | None:
    """Bytes until the control group's limit; None without a limit."""
    try:
        limit, used, stat = ((group / f"memory.{name}").read_text("ascii") for name in ("max", "current", "stat"))
        # Page cache counts as used, but the kernel drops it when an engine needs the memory.
        droppable = dict(line.split() for line in stat.splitlines())["inactive_file"]
        return int(limit) - int(used) + int(droppable)
    except (OSError, ValueError, KeyError):
        return None


def _weights_gib(directory: Path) -> float:
    return sum(path.stat().st_size for path in directory.glob("*.safetensors")) / _GIB
