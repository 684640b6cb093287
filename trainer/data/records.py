"""One line of a data set as a value: a photo, a ticket with its verdict, or a chat (``trainer.data.parse`` reads it)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from trainer.data.images import ImageRef
from trainer.data.messages import ChatTurn
from vqc.caption import CaptionObject
from vqc.geometry import SizeWH
from vqc.missions import Mission
from vqc.verdict import VerdictAnswer


class Task(StrEnum):
    """What a sample trains."""

    DENSE = "dense"
    STAGE_A = "stage_a"
    VERDICT = "verdict"
    CHAT = "chat"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoRecord:
    """An annotated photo. ``objects`` is None for a record with a summary only.

    ``task`` fixes what is trained; None leaves the choice to the run's mode.
    """

    image: ImageRef
    size_wh: SizeWH | None
    objects: tuple[CaptionObject, ...] | None
    summary: str | None
    mission: Mission | None
    task: Task | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRecord:
    """A ticket with the verdict to learn. The evidence is its photos, their summaries, or both."""

    images: tuple[ImageRef, ...]
    summaries: tuple[str, ...]
    mission: Mission
    guidance: Mapping[str, str]
    answer: VerdictAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRecord:
    """A conversation of one turn, used unchanged."""

    images: tuple[ImageRef, ...]
    turn: ChatTurn


Record = PhotoRecord | VerdictRecord | ChatRecord
