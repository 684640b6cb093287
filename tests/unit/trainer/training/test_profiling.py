"""What the profile of a run's last steps says."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

from trainer.training.profiling import _waits


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


def test_waits_lie_between_kernels_that_no_other_covers() -> None:
    events = [
        Event(name="b", start=3000, end=4000),
        Event(name="a", start=0, end=1000),
        Event(name="beside", start=500, end=2000),
        Event(name="host", start=2000, end=3000, device_type="DeviceType.CPU"),
        Event(name="c", start=4000, end=5000),
    ]
    assert _waits(events, 2) == [
        "between kernels nothing for 0.5 ms a step, so often, at most, after, before:",
        "     0.50 ms      0.5 ×    1.00 ms  beside | b",
    ]
    assert _waits(events[3:4], 2) == []
