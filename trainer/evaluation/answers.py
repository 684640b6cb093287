"""The labelled data of an evaluation, and the port for what is evaluated: a model directory or the running service.

Outcomes are the domain's own (``vqc.parser``, ``vqc.summary``, ``vqc.verdict``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vqc.caption import DenseCaption
from vqc.geometry import SizeWH
from vqc.missions import Mission
from vqc.parser import CaptionOutcome
from vqc.summary import Summary, SummaryOutcome
from vqc.verdict import Verdict, VerdictOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPhoto:
    """A labelled photo. ``caption`` or ``summary`` is None if it is not labelled."""

    path: Path
    size_wh: SizeWH
    caption: DenseCaption | None
    summary: Summary | None
    mission: Mission


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTicket:
    """A labelled ticket. The evidence is its photos, their Stage-A lines, or both."""

    photos: tuple[Path, ...]
    summaries: tuple[str, ...]
    mission: Mission
    verdict: Verdict


class Answerer(Protocol):
    """Answers photos and tickets, in their order. ``name`` is the model or address, for the report."""

    name: str

    def captions(self, photos: Sequence[LabelledPhoto]) -> Iterator[CaptionOutcome]:
        """The caption of each photo."""
        ...

    def lines(self, photos: Sequence[LabelledPhoto]) -> Iterator[SummaryOutcome]:
        """The Stage-A line of each photo."""
        ...

    def verdicts(self, tickets: Sequence[LabelledTicket]) -> Iterator[VerdictOutcome]:
        """The verdict of each ticket."""
        ...


def batches(items: Sequence[object], size: int) -> Iterable[range]:
    """Positions of ``items`` in batches of ``size``.

    >>> list(batches("abc", 2))
    [range(0, 2), range(2, 3)]
    """
    return (range(start, min(start + size, len(items))) for start in range(0, len(items), size))
