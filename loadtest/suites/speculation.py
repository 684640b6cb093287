"""``vqc-bench drafts``: the speed with and without drafts, alternately, on photos that no engine has seen.

The drafts come from earlier answers, so every engine starts fresh, with an empty table. Repeated photos would make their
numbers predictable, so every photo is drawn once, and a window is a number of photos instead of a time.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from time import perf_counter

import click

from engine.client import VllmClient
from engine.profile import DRAFTS, EngineSettings
from engine.protocol import GenerateRequest
from loadtest.counts import Counts
from loadtest.http.requests import Target
from loadtest.load.engine_metrics import TOKENS, metric_totals
from loadtest.load.payloads import Payloads
from loadtest.load.photos import jpeg_photos
from loadtest.load.scenario import CaptionLoad, Load, StageALoad
from loadtest.load.vllm_jobs import VllmJob
from loadtest.loop import run
from loadtest.report import as_json
from loadtest.targets.service import raw_engine
from vqc.geometry import SizeWH

_MAX_MODEL_LEN = 8192
_LOADS = (CaptionLoad(max_new_tokens=2048), StageALoad(max_new_tokens=256))
_TIMEOUT_S = 300.0
_ACCEPTED = "vllm:spec_decode_num_accepted_tokens_total"
_DRAFTED = "vllm:spec_decode_num_draft_tokens_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRow:
    """One task and number of clients, medians over the rounds. ``same`` counts answers that drafts do not change."""

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
class _DraftWindow:
    seconds: float
    answers: tuple[str, ...]
    tokens: float
    drafted: float
    accepted: float


@click.command()
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("deploy/demo/model"),
    show_default=True,
    help="The checkpoint that vLLM serves.",
)
@click.option(
    "--drafts", type=click.IntRange(1, 64), default=DRAFTS, show_default=True, help="Tokens drafted per step."
)
@click.option("--engine-args", default="", help="More vLLM flags, separated by spaces.")
@click.option("--clients", type=Counts(), default="1,8", show_default=True, help="Concurrent clients, per level.")
@click.option("--photos", type=click.IntRange(1), default=40, show_default=True, help="Photos per client and task.")
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Pairs of engines.")
@click.option("--width", type=click.IntRange(256, 8192), default=512, show_default=True, help="Photo width, pixels.")
@click.option("--height", type=click.IntRange(192, 8192), default=384, show_default=True, help="Photo height, pixels.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def drafts(
    model: Path,
    drafts: int,
    engine_args: str,
    clients: tuple[int, ...],
    photos: int,
    rounds: int,
    width: int,
    height: int,
    as_document: bool,
) -> None:
    """Answers a second with and without drafts, alternately; each photo is new, and the answers are compared."""
    from rich.console import Console

    extra_args = tuple(engine_args.split())
    settings = EngineSettings(model=model, max_model_len=_MAX_MODEL_LEN, drafts=drafts, extra_args=extra_args)
    with Console(stderr=True).status("drawing photos") as status:
        rows = run(compare_drafts(settings, (width, height), photos, clients, rounds, status.update))
    if as_document:
        click.echo(as_json(rows))
        return
    for row in rows:
        click.echo(
            f"{row.task}, {row.clients} at once: {row.per_s} a second with drafts, {row.without_per_s} without: "
            f"{row.ratio} times; {row.tokens_a_step} tokens a step, {row.accepted:.0%} of the drafts accepted; "
            f"{row.same} of {row.answers} answers are the same"
        )


async def compare_drafts(
    settings: EngineSettings,
    size_wh: SizeWH,
    photos: int,
    clients: Sequence[int],
    rounds: int,
    progress: Callable[[str], None],
) -> list[DraftRow]:
    """A row per task and number of clients; ``photos`` for each client. Raises ``BenchFailed``."""
    levels = [(load, at_once) for load in _LOADS for at_once in clients]
    drawn = tuple(jpeg_photos(photos * sum(at_once for _, at_once in levels), size_wh))
    payloads, numbers = Payloads(drawn=drawn, lines=(), repeated=0.0, run="drafts"), count()
    requests = [
        _build_requests(load, payloads, settings.served_name, islice(numbers, photos * at_once))
        for load, at_once in levels
    ]
    pairs: list[list[tuple[_DraftWindow, _DraftWindow]]] = [[] for _ in levels]
    for turn in range(rounds):
        sides = dict[bool, list[_DraftWindow]]()
        for drafts in (True, False) if turn % 2 == 0 else (False, True):
            progress(f"round {turn + 1} of {rounds}, {'with' if drafts else 'without'} drafts")
            async with raw_engine(settings if drafts else replace(settings, drafts=0)) as engine:
                client = VllmClient(Path(str(engine.target.uds)), settings.served_name)
                try:
                    sides[drafts] = [
                        await _measure_window(client, window, at_once)
                        for window, (_, at_once) in zip(requests, levels, strict=True)
                    ]
                finally:
                    await client.aclose()
        for level, pair in zip(pairs, zip(sides[True], sides[False], strict=True), strict=True):
            level.append(pair)
    return [_draft_row(load.task, at_once, level) for (load, at_once), level in zip(levels, pairs, strict=True)]


def _build_requests(load: Load, payloads: Payloads, model: str, numbers: Iterable[int]) -> list[GenerateRequest]:
    job = VllmJob(load=load, target=Target(host="localhost", port=80), payloads=payloads, model=model)
    return [replace(job.generation(n), timeout_s=_TIMEOUT_S) for n in numbers]


async def _measure_window(client: VllmClient, requests: Sequence[GenerateRequest], clients: int) -> _DraftWindow:
    slots = asyncio.Semaphore(clients)

    async def answer(request: GenerateRequest) -> str:
        async with slots:
            return (await client.generate(request)).completions[0].text

    before, began = metric_totals(await client.metrics()), perf_counter()
    answers = await asyncio.gather(*map(answer, requests))
    seconds, after = perf_counter() - began, metric_totals(await client.metrics())
    tokens, drafted, accepted = (after.get(n, 0.0) - before.get(n, 0.0) for n in (TOKENS, _DRAFTED, _ACCEPTED))
    return _DraftWindow(seconds=seconds, answers=tuple(answers), tokens=tokens, drafted=drafted, accepted=accepted)


def _draft_row(task: str, clients: int, pairs: Sequence[tuple[_DraftWindow, _DraftWindow]]) -> DraftRow:
    def rate(windows: Sequence[_DraftWindow]) -> float:
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
