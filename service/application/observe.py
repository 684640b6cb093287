"""What the use cases tell whoever watches. The metrics module implements it; by default nobody listens."""

from __future__ import annotations

from typing import Literal

from vqc.parser import Status

Task = Literal["caption", "stage_a"]


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

    def first_object(self, seconds: float) -> None:
        """The first object of a streamed caption is complete, counted from the engine call."""
