"""``vqc-bench drafts``: what guessing ahead gives, with and without in turns, on photos that no engine has seen before.

An engine learns from what it answers, so each starts anew and knows nothing; and where pictures came again, it would know their
numbers too. So every photo is drawn for itself, and a window is a number of photos instead of a time.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter

from engine.client import VllmClient
from engine.profile import EngineSettings
from engine.protocol import GenerateRequest, Image, Sampling
from loadtest.load.engine_metrics import summed
from loadtest.load.serving import raw_engine
from loadtest.photos import jpeg_photos
from vqc.geometry import SizeWH
from vqc.grammar import CAPTION_GRAMMAR, SUMMARY_GRAMMAR
from vqc.missions import mission_named
from vqc.prompts import dense_prompt, stage_a_prompt

_MISSION = "挡风板安装检查"
_TIMEOUT_S = 300.0
_TOKENS = "vllm:generation_tokens_total"
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
    say("drawing photos")
    levels = [(task, count) for task in ("caption", "stage-a") for count in clients]
    drawn = iter(jpeg_photos(sum(photos * count for _, count in levels), size_wh))
    asked = {level: [_request(level[0], next(drawn)) for _ in range(photos * level[1])] for level in levels}
    found: dict[bool, dict[tuple[str, int], list[_Window]]] = {
        drafts: {level: [] for level in levels} for drafts in (True, False)
    }
    for turn in range(rounds):
        for drafts in (turn % 2 == 0, turn % 2 == 1):
            say(f"round {turn + 1} of {rounds}, {'with' if drafts else 'without'} drafts")
            async with raw_engine(settings if drafts else replace(settings, drafts=0)) as engine:
                client = VllmClient(Path(str(engine.target.uds)), settings.served_name)
                try:
                    for level in levels:
                        found[drafts][level].append(await _window(client, asked[level], level[1]))
                finally:
                    await client.aclose()
    return [_row(*level, found[True][level], found[False][level]) for level in levels]


def _request(task: str, photo: bytes) -> GenerateRequest:
    caption = task == "caption"
    prompt = dense_prompt() if caption else stage_a_prompt(mission_named(_MISSION))
    image = Image(data=photo, media_type="image/jpeg", digest=sha256(photo).hexdigest())
    return GenerateRequest(
        request_id="drafts",
        system=prompt.system,
        user=tuple(part for part in (prompt.before, image, prompt.after) if part),
        sampling=Sampling(max_tokens=2048 if caption else 256),
        grammar=CAPTION_GRAMMAR if caption else SUMMARY_GRAMMAR,
        timeout_s=_TIMEOUT_S,
    )


async def _window(client: VllmClient, requests: Sequence[GenerateRequest], clients: int) -> _Window:
    free = asyncio.Semaphore(clients)

    async def answer(request: GenerateRequest) -> str:
        async with free:
            return (await client.generate(request)).completions[0].text

    before, began = summed(await client.metrics()), perf_counter()
    answers = await asyncio.gather(*map(answer, requests))
    seconds, after = perf_counter() - began, summed(await client.metrics())
    tokens, drafted, accepted = (after.get(n, 0.0) - before.get(n, 0.0) for n in (_TOKENS, _DRAFTED, _ACCEPTED))
    return _Window(seconds=seconds, answers=tuple(answers), tokens=tokens, drafted=drafted, accepted=accepted)


def _row(task: str, clients: int, drafts: Sequence[_Window], without: Sequence[_Window]) -> DraftRow:
    def rate(windows: Sequence[_Window]) -> float:
        return round(statistics.median(len(one.answers) / one.seconds for one in windows), 2)

    pairs = list(zip(drafts, without, strict=True))
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
