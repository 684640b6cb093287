"""What reading photos and answering about them reports: to the metrics, or to no one."""

from __future__ import annotations

from typing import Literal

from vqc.parser import Status

TaskName = Literal["caption", "stage_a"]


class PhotoObserver:
    """Receives what happens to photos and answers; does nothing by itself. All times in seconds."""

    def record_photo(self, seconds: float, *, passed_through: bool) -> None:
        """A photo was read; ``passed_through``: it was canonical already."""

    def record_rejected_photo(self, reason: str) -> None:
        """A photo was rejected for ``reason``."""

    def record_answer(
        self, task: TaskName, seconds: float, *, status: Status, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """The engine's answer about one photo is complete and was parsed. Cached answers are not recorded."""

    def record_caption(self, objects: int, *, truncated: bool) -> None:
        """A caption has so many objects; ``truncated``: it was cut before its end."""

    def record_line(self, mission: str, known: int, unknown: int) -> None:
        """A Stage-A line has so many items that the mission has words for, and so many others."""

    def record_first_token(self, seconds: float) -> None:
        """The first piece of a streamed caption arrived so long after the engine call."""

    def record_first_object(self, seconds: float) -> None:
        """The first object of a streamed caption was complete so long after the engine call."""
