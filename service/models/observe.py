"""What the use cases tell whoever watches. The metrics module implements it; by default nobody listens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from service.models.roles import Agreement, ServedModel
from service.platform.shares import Role
from vqc.parser import Status

Task = Literal["caption", "stage_a"]
SwapOutcome = Literal["swapped", "withdrawn", "failed"]
Lookup = Literal["hit", "joined", "miss", "unavailable"]


class Observer:
    """Hears of photos and answers as they happen. All times in seconds."""

    def photo_read(self, seconds: float, *, passed_through: bool) -> None:
        """A photo was read."""

    def photo_rejected(self, reason: str) -> None:
        """A photo was refused for ``reason``."""

    def answered(
        self, task: Task, seconds: float, *, status: Status, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """The engine's answer for one photo is complete and read."""

    def captioned(self, objects: int, *, truncated: bool) -> None:
        """A caption holds so many objects; ``truncated`` says that more were to come."""

    def summarised(self, mission: str, known: int, unknown: int) -> None:
        """A Stage-A line names so many things that the mission has words for, and so many that it has none for."""

    def first_token(self, seconds: float) -> None:
        """The first piece of a streamed caption has come, counted from the engine call."""

    def first_object(self, seconds: float) -> None:
        """The first object of a streamed caption is complete, counted from the engine call."""

    def looked_up(self, lookup: Lookup) -> None:
        """An answer was looked for among those given before; ``joined`` found one that was just being written."""

    def serving(self, models: Sequence[tuple[Role, ServedModel]]) -> None:
        """These models are in force from now on, and no others."""

    def pinned(self, role: Role) -> None:
        """A request was pinned to the model of this role."""

    def shadowed(self, agreement: Agreement) -> None:
        """The shadow's answer was compared with the one given."""

    def swapped(self, outcome: SwapOutcome, seconds: float, double_memory_s: float) -> None:
        """A swap ended; two engines were up for ``double_memory_s`` of its time."""
