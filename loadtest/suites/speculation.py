"""``vqc-bench drafts``: what guessing ahead gives, with and without in turns, on photos that no engine has seen before.

An engine learns from what it answers, so each starts anew and knows nothing; and where pictures came again, it would know their
numbers too. So every photo is drawn for itself, and a window is a number of photos instead of a time.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from time import perf_counter

from engine.client import VllmClient
from engine.profile import EngineSettings
from engine.protocol import GenerateRequest
from loadtest.http.requests import Target
from loadtest.load.engine_metrics import TOKENS, summed
from loadtest.load.payloads import Supply
from loadtest.load.photos import jpeg_photos
from loadtest.load.scenario import CaptionLoad, Load, StageALoad
from loadtest.load.vllm_jobs import RawJob
from loadtest.targets.service import raw_engine
from vqc.geometry import SizeWH

_LOADS = (CaptionLoad(max_new_tokens=2048), StageALoad(max_new_tokens=256))
_TIMEOUT_S = 300.0
_ACCEPTED = "vllm:spec_decode_num_accepted_tokens_total"
_DRAFTED = "vllm:spec_decode_num_draft_tokens_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRow:
    """One task and number of clients: medians over the rounds. ``same`` are answers that drafts have not changed."""

    task: str
    clients: int
    per_s: float
    without_per_s: float
    ratio: float
    tokens_a_step: float
    accepted: float
    answers: int
    same: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    seconds: float
    answers: tuple[str, ...]
    tokens: float
    drafted: float
    accepted: float


async def compare(
    settings: EngineSettings,
    size_wh: SizeWH,
    photos: int,
    clients: Sequence[int],
    rounds: int,
    say: Callable[[str], None],
) -> list[DraftRow]:
    """The rows; ``photos`` for each task and client. Raises ``BenchFailed``: vLLM does not start, or goes away."""
    levels = [(load, at_once) for load in _LOADS for at_once in clients]
    drawn = tuple(jpeg_photos(photos * sum(at_once for _, at_once in levels), size_wh))
    supply, numbers = Supply(drawn=drawn, lines=(), repeated=0.0, run="drafts"), count()
    asked = [
        _requests(load, supply, settings.served_name, islice(numbers, photos * at_once)) for load, at_once in levels
    ]
    pairs: list[list[tuple[_Window, _Window]]] = [[] for _ in levels]
    for turn in range(rounds):
        sides = dict[bool, list[_Window]]()
        for drafts in (True, False) if turn % 2 == 0 else (False, True):
            say(f"round {turn + 1} of {rounds}, {'with' if drafts else 'without'} drafts")
            async with raw_engine(settings if drafts else replace(settings, drafts=0)) as engine:
                client = VllmClient(Path(str(engine.target.uds)), settings.served_name)
                try:
                    sides[drafts] = [
                        await _window(client, requests, at_once)
                        for requests, (_, at_once) in zip(asked, levels, strict=True)
                    ]
                finally:
                    await client.aclose()
        for level, pair in zip(pairs, zip(sides[True], sides[False], strict=True), strict=True):
            level.append(pair)
    return [_row(load.task, at_once, level) for (load, at_once), level in zip(levels, pairs, strict=True)]


def _requests(load: Load, supply: Supply, model: str, numbers: Iterable[int]) -> list[GenerateRequest]:
    job = RawJob(load=load, target=Target(host="localhost", port=80), supply=supply, model=model)
    return [replace(job.generation(n), timeout_s=_TIMEOUT_S) for n in numbers]


async def _window(client: VllmClient, requests: Sequence[GenerateRequest], clients: int) -> _Window:
    free = asyncio.Semaphore(clients)

    async def answer(request: GenerateRequest) -> str:
        async with free:
            return (await client.generate(request)).completions[0].text

    before, began = summed(await client.metrics()), perf_counter()
    answers = await asyncio.gather(*map(answer, requests))
    seconds, after = perf_counter() - began, summed(await client.metrics())
    tokens, drafted, accepted = (after.get(n, 0.0) - before.get(n, 0.0) for n in (TOKENS, _DRAFTED, _ACCEPTED))
    return _Window(seconds=seconds, answers=tuple(answers), tokens=tokens, drafted=drafted, accepted=accepted)


def _row(task: str, clients: int, pairs: Sequence[tuple[_Window, _Window]]) -> DraftRow:
    def rate(windows: Sequence[_Window]) -> float:
        return round(statistics.median(len(one.answers) / one.seconds for one in windows), 2)

    drafts, without = zip(*pairs, strict=True)
    tokens, drafted, accepted = (
        sum(getattr(one, name) for one in drafts) for name in ("tokens", "drafted", "accepted")
    )
    return DraftRow(
        task=task,
        clients=clients,
        per_s=rate(drafts),
        without_per_s=rate(without),
        ratio=round(statistics.median(one.seconds / other.seconds for other, one in pairs), 2),
        tokens_a_step=round(tokens / (tokens - accepted), 2),
        accepted=round(accepted / drafted, 2) if drafted else 0.0,
        answers=sum(len(one.answers) for one in drafts),
        same=sum(a == b for one, other in pairs for a, b in zip(one.answers, other.answers, strict=True)),
    )
