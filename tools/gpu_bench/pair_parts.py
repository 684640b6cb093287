"""The parts that are pairs of windows: requests, numbers of clients and sides of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadtest.load.pairs import PairPlan
from loadtest.load.scenario import Load, StageBLoad
from loadtest.suites.pair import Sides
from tools.gpu_bench.scale import BenchScale

_WARM_CLIENTS = 64
"""Clients of the parts that need no full engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPart:
    """The arguments of ``compare_with_vllm`` for a part."""

    loads: Sequence[Load]
    plan: PairPlan
    sides: Sides = "ours"


def pair_part(name: str, scale: BenchScale, loads: Sequence[Load], plan: PairPlan) -> PairPart:
    """The part ``name``; ``loads`` are captions and Stage-A lines, ``plan`` that of ``pairs``. Levers are measured raw."""
    few, most = (min(_WARM_CLIENTS, scale.most_clients),), (scale.most_clients,)
    captions = loads[:1]
    tickets = (StageBLoad(lines="given"),)
    match name:
        case "pairs":
            return PairPart(loads=loads, plan=plan)
        case "more-pairs":
            return PairPart(loads=loads, plan=replace(plan, clients=scale.more_clients))
        case "drafts-pairs":
            return PairPart(loads=loads, plan=replace(plan, clients=scale.draft_clients, rounds=3))
        case "stage-b" | "drafts-stage-b":
            return PairPart(loads=tickets, plan=replace(plan, clients=scale.ticket_clients))
        case "tickets":
            return PairPart(loads=tickets, plan=replace(plan, clients=scale.ticket_clients[:1]))
        case "warm":
            return PairPart(loads=loads, plan=replace(plan, clients=few, seconds=1.0), sides="raw")
        case "free":
            return PairPart(loads=captions, plan=replace(plan, clients=few), sides="free")
        case "stock":
            return PairPart(loads=loads[::-1], plan=replace(plan, clients=most), sides="free")
        case "raw" | "fp8":
            return PairPart(loads=loads, plan=replace(plan, clients=(scale.most_clients, 1)), sides="raw")
        case _:
            return PairPart(loads=loads, plan=replace(plan, clients=most), sides="raw")
