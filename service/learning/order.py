"""Which tickets are learned from, which only measured on, and in which order an epoch takes them.

A ticket's part depends on the seed and its own id alone: other tickets coming or going do not move it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from hashlib import sha256

from service.judging.records import Part
from service.learning.labelled_tickets import LabelledTicket


def part_of(ticket: LabelledTicket, seed: int, *, holdout: float, calibrate: float) -> Part:
    """The ticket's part, for the shares of tickets that are held out and kept for calibration.

    >>> from vqc.missions import mission_named
    >>> mission = mission_named("挡风板安装检查")
    >>> tickets = [LabelledTicket(mission=mission, group_id=f"QC-{n}", summaries=("",)) for n in range(1000)]
    >>> parts = [part_of(one, 17, holdout=0.3, calibrate=0.2) for one in tickets]
    >>> [round(parts.count(part) / 1000, 1) for part in Part]
    [0.5, 0.3, 0.2]
    """
    digest = sha256(f"{seed}/{ticket.mission.name}/{ticket.group_id}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    return Part.HOLDOUT if place < holdout else Part.CALIBRATE if place < holdout + calibrate else Part.LEARN


def shuffled(tickets: Iterable[LabelledTicket], seed: int, epoch: int) -> Sequence[LabelledTicket]:
    """The tickets in the epoch's order: the same for the same set of tickets, however they were read.

    >>> from vqc.missions import mission_named
    >>> mission = mission_named("挡风板安装检查")
    >>> tickets = [LabelledTicket(mission=mission, group_id=f"QC-{n}", summaries=("",)) for n in range(5)]
    >>> shuffled(tickets, 17, 1) == shuffled(reversed(tickets), 17, 1) != shuffled(tickets, 17, 2)
    True
    """
    ordered = sorted(tickets, key=lambda one: one.key)
    random.Random(f"stage-b/{seed}/{epoch}").shuffle(ordered)
    return ordered
