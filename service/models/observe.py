"""What the models report: to the metrics, or to no one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from service.models.roles import Agreement, ServedModel
from service.platform.shares import Role

SwapOutcome = Literal["swapped", "withdrawn", "failed"]
CacheLookup = Literal["hit", "joined", "miss", "unavailable"]


class ModelObserver:
    """Receives what happens to the models; does nothing by itself. All times in seconds."""

    def record_lookup(self, lookup: CacheLookup) -> None:
        """An answer was looked up in the response cache; ``joined``: an identical request was being answered."""

    def record_active(self, models: Sequence[tuple[Role, ServedModel]]) -> None:
        """These models are active from now on, and no others."""

    def record_pin(self, role: Role) -> None:
        """A request was pinned to the model of this role."""

    def record_comparison(self, agreement: Agreement) -> None:
        """The shadow's answer was compared with the main model's."""

    def record_swap(self, outcome: SwapOutcome, seconds: float, double_memory_s: float) -> None:
        """A swap ended; two engines were up for ``double_memory_s`` of its time."""
