"""Profiles the last steps of a run with PyTorch's profiler."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import TrainerCallback
from typing_extensions import override

PROFILED_STEPS = 2
"""Number of profiled steps."""


class StepProfiler(TrainerCallback):
    """Writes the costliest operations of the run's last ``steps`` to a file, and on a GPU its idle times."""

    def __init__(self, path: Path, *, steps: int) -> None:
        self._path = path
        self._steps = steps
        self._profile: Any = None
        self._began = 0.0

    @override
    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == state.max_steps - self._steps:
            kind = ProfilerActivity.CUDA if torch.cuda.is_available() else ProfilerActivity.CPU
            self._profile = profile(activities=[kind], acc_events=True)
            _wait()
            self._began = perf_counter()
            self._profile.start()

    @override
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._profile is not None and state.global_step == state.max_steps:
            _wait()
            took = perf_counter() - self._began
            self._profile.stop()
            averages = self._profile.key_averages()
            by = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
            kernels = [each for each in averages if str(each.device_type).endswith("CUDA")]
            busy = sum(each.self_device_time_total for each in kernels) / 1e6
            lines = [f"{self._steps} steps took {took:.3f} s under the profiler; kernels ran for {busy:.3f} s of them"]
            ranked = sorted(kernels or averages, key=lambda each: -getattr(each, by))[:40]
            lines += [
                f"{getattr(e, by) / 1e3 / self._steps:9.2f} ms {e.count / self._steps:8.0f} × {e.key[:150]}"
                for e in ranked
            ]
            lines += _idle_times(self._profile.events(), self._steps)
            self._path.write_text("\n".join(lines) + "\n")
            self._profile = None


def _idle_times(events: Any, steps: int) -> list[str]:
    """Times in which the device was idle, by the kernels before and after; the longest in total first."""
    kernels = sorted((e for e in events if str(e.device_type).endswith("CUDA")), key=lambda e: e.time_range.start)
    if not kernels:
        return []
    waits: dict[tuple[str, str], list[float]] = {}
    until, last = 0.0, ""
    for kernel in kernels:
        if last and kernel.time_range.start > until:
            waits.setdefault((last, kernel.name), []).append((kernel.time_range.start - until) / 1e3)
        if kernel.time_range.end > until:
            until, last = kernel.time_range.end, kernel.name
    ranked = sorted(waits.items(), key=lambda item: -sum(item[1]))[:40]
    total = sum(map(sum, waits.values())) / steps
    return [
        f"idle between kernels for {total:.1f} ms per step; time per step, count, longest, kernel before, kernel after:",
        *(
            f"{sum(each) / steps:9.2f} ms {len(each) / steps:8.1f} × {max(each):7.2f} ms  {after[:70]} | {before[:70]}"
            for (after, before), each in ranked
        ),
    ]


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
