"""What the profile of a run's last steps says."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

from trainer.training.profiling import _idle_times


@dataclass(frozen=True, kw_only=True)
class Event:
    """As PyTorch's profiler gives them; microseconds."""

    name: str
    start: float
    end: float
    device_type: str = "DeviceType.CUDA"

    @property
    def time_range(self) -> SimpleNamespace:
        return SimpleNamespace(start=self.start, end=self.end)


def test_idle_times_are_between_kernels_that_no_other_covers() -> None:
    events = [
        Event(name="b", start=3000, end=4000),
        Event(name="a", start=0, end=1000),
        Event(name="beside", start=500, end=2000),
        Event(name="host", start=2000, end=3000, device_type="DeviceType.CPU"),
        Event(name="c", start=4000, end=5000),
    ]
    assert _idle_times(events, 2) == [
        "idle between kernels for 0.5 ms per step; time per step, count, longest, kernel before, kernel after:",
        "     0.50 ms      0.5 ×    1.00 ms  beside | b",
    ]
    assert _idle_times(events[3:4], 2) == []
