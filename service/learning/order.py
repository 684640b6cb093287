"""Assigns tickets to the parts of a run, and orders them for an epoch."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from hashlib import sha256

from service.judging.records import Part
from service.learning.labelled_tickets import LabelledTicket


def part_of(ticket: LabelledTicket, seed: int, *, holdout: float, calibrate: float) -> Part:
    """The ticket's part. ``holdout`` and ``calibrate`` are shares of all tickets; the rest is learned from.

    >>> from vqc.missions import mission_named
    >>> mission = mission_named("挡风板安装检查")
    >>> tickets = [LabelledTicket(mission=mission, group_id=f"QC-{n}", summaries=("",)) for n in range(1000)]
    >>> parts = [part_of(one, 17, holdout=0.3, calibrate=0.2) for one in tickets]
    >>> [round(parts.count(part) / 1000, 1) for part in Part]
    [0.5, 0.3, 0.2]
    """
    # By the ticket's own id and the seed alone: adding or removing other tickets moves none to another part, and a ticket
    # that reflection has read in one run never becomes a held-out ticket of the next.
    digest = sha256(f"{seed}/{ticket.mission.name}/{ticket.group_id}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    return Part.HOLDOUT if place < holdout else Part.CALIBRATE if place < holdout + calibrate else Part.LEARN


def epoch_order(tickets: Iterable[LabelledTicket], seed: int, epoch: int) -> Sequence[LabelledTicket]:
    """The tickets in the random order of an epoch; the order of the input has no effect.

    >>> from vqc.missions import mission_named
    >>> mission = mission_named("挡风板安装检查")
    >>> tickets = [LabelledTicket(mission=mission, group_id=f"QC-{n}", summaries=("",)) for n in range(5)]
    >>> epoch_order(tickets, 17, 1) == epoch_order(reversed(tickets), 17, 1) != epoch_order(tickets, 17, 2)
    True
    """
    # Sorted first, so that a resumed run whose files list the tickets otherwise still writes the same records.
    ordered = sorted(tickets, key=lambda one: one.key)
    random.Random(f"stage-b/{seed}/{epoch}").shuffle(ordered)
    return ordered
