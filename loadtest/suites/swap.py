"""``vqc-bench swap``: what replacing a model costs those who ask meanwhile, forth and back, under a steady load."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx

from loadtest.errors import BenchFailed
from loadtest.quantiles import quantile
from loadtest.targets.api import MeasuredServer, running_api
from registry import ANY, Registry, open_registry

ALIAS = "champion"
START_TIMEOUT_S = 900.0
SWAP_TIMEOUT_S = 900.0
MISSION = "挡风板安装检查"
STAGE_A_PHOTOS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked for: two checkpoint directories, served in turn. One connection asks for Stage-A, the others caption."""

    first: Path
    second: Path
    engine: str
    swap: str
    connections: int
    rounds: int
    steady_s: float
    max_new_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One swap. ``requests`` and ``errors`` are those that were under way or begun between the call and ``steady_s`` after it.

    ``foreign`` captions name one model and are word for word what only the other one writes. ``steady_*`` is the time
    before the call.
    """

    move: str
    mode: str
    seconds: float
    double_memory_s: float
    requests: int
    errors: int
    foreign: int
    by_old: int
    by_new: int
    steady_p50_ms: float | None
    p50_ms: float | None
    longest_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The rows, and the first problem of any."""

    rows: list[Row]
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    began: float
    ended: float
    digest: str | None
    problem: str | None
    photo: int | None = None
    caption: str | None = None


@dataclass(slots=True)
class _Load:
    """Connections that ask again as soon as they are answered."""

    client: httpx.AsyncClient
    photos: Sequence[bytes]
    max_new_tokens: int
    answers: list[_Answer] = field(default_factory=list)
    over: bool = False

    async def captions(self, n: int) -> None:
        """Captions one photo after the other until it is over."""
        while not self.over:
            n = (n + 1) % len(self.photos)
            files = {"photo": (f"{n}.jpg", self.photos[n])}
            began = perf_counter()
            self.answers.append(_read(began, await self._posted("/caption", files=files), n))

    async def stage_a(self) -> None:
        """Asks for the lines of several photos until it is over."""
        files = [("photos", (f"{n}.jpg", photo)) for n, photo in enumerate(self.photos[:STAGE_A_PHOTOS])]
        while not self.over:
            began = perf_counter()
            self.answers.append(
                _read(began, await self._posted("/stage-a", files=files, data={"mission": MISSION}), None)
            )

    async def _posted(self, path: str, **body: Any) -> httpx.Response | str:
        try:
            return await self.client.post(path, params={"max_new_tokens": self.max_new_tokens}, **body)
        except httpx.HTTPError as error:
            return f"{path}: {error!r}"


async def measure(plan: Plan, photos: Sequence[bytes], starting: Callable[[str], None] = lambda _: None) -> Report:
    """Swaps to the second model and back, ``rounds`` times, under load.

    Raises:
        BenchFailed: the API does not start, or both directories are the same version.
    """
    with tempfile.TemporaryDirectory(prefix="vqc-swap-") as folder:
        registry = open_registry(Path(folder) / "registry")
        starting("pushing both versions")
        digests = [await asyncio.to_thread(_pushed, registry, path) for path in (plan.first, plan.second)]
        if digests[0] == digests[1]:
            raise BenchFailed(f"{plan.first} and {plan.second} are the same version {digests[0]}")
        registry.move(ALIAS, digests[0], expected=ANY, actor="vqc-bench", reason="first")
        settings = {
            "VQC_ENGINE": plan.engine,
            "VQC_REGISTRY": f"{folder}/registry",
            "VQC_MODEL": ALIAS,
            "VQC_MODEL_CACHE": f"{folder}/models",
            "VQC_ENGINE_LOG": f"{folder}/engine.log",
            "VQC_REGISTRY_POLL_S": "0",
            "VQC_SWAP": plan.swap,
        }
        starting("starting the API")
        in_flight = 2 * plan.connections + 2
        async with running_api(in_flight, settings, ready_timeout_s=START_TIMEOUT_S) as server:
            return await _swaps(plan, photos, registry, digests, server, starting)


async def _swaps(
    plan: Plan,
    photos: Sequence[bytes],
    registry: Registry,
    digests: list[str],
    server: MeasuredServer,
    starting: Callable[[str], None],
) -> Report:
    base_url = f"http://{server.target.host}:{server.target.port}"
    async with httpx.AsyncClient(base_url=base_url, timeout=SWAP_TIMEOUT_S, trust_env=False) as client:
        load = _Load(client=client, photos=photos, max_new_tokens=plan.max_new_tokens)
        tasks = [asyncio.create_task(load.captions(n)) for n in range(plan.connections - 1)]
        tasks.append(asyncio.create_task(load.stage_a()))
        spans: list[tuple[str, dict[str, Any], float, float, float]] = []
        try:
            for n in range(2 * plan.rounds):
                move, digest = ("swap", digests[1]) if n % 2 == 0 else ("rollback", digests[0])
                starting(f"{move} {n // 2 + 1} of {plan.rounds}")
                before = perf_counter()
                await asyncio.sleep(plan.steady_s)
                await asyncio.to_thread(registry.move, ALIAS, digest, expected=ANY, actor="vqc-bench", reason=move)
                called = perf_counter()
                swapped = await _reloaded(client, digest)
                await asyncio.sleep(plan.steady_s)
                spans.append((move, swapped, before, called, perf_counter()))
                server.check_alive()
        finally:
            load.over = True
            await asyncio.gather(*tasks)
    rows = [_row(load.answers, *span) for span in spans]
    return Report(rows=rows, problem=next((answer.problem for answer in load.answers if answer.problem), None))


async def _reloaded(client: httpx.AsyncClient, digest: str) -> dict[str, Any]:
    answer = await client.post(f"/models/{ALIAS}/reload")
    body = answer.json()
    if answer.status_code != 200 or body["digest"] != digest:
        raise BenchFailed(f"the reload did not bring {digest} into force: {answer.status_code} {answer.text[:500]}")
    return body


def _pushed(registry: Registry, directory: Path) -> str:
    return registry.push(directory, actor="vqc-bench").digest


def _read(began: float, response: httpx.Response | str, photo: int | None) -> _Answer:
    ended = perf_counter()
    if isinstance(response, str):
        return _Answer(began=began, ended=ended, digest=None, problem=response)
    if response.status_code != 200:
        problem = f"status {response.status_code}: {response.text[:300]}"
        return _Answer(began=began, ended=ended, digest=None, problem=problem)
    body = response.json()
    digest, problem = body["model"]["digest"], None
    if response.headers.get("x-vqc-model") != f"{body['model']['alias']}@{digest}":
        problem = f"header and body name different models: {response.headers.get('x-vqc-model')!r} and {digest!r}"
    for entry in body.get("photos", []):
        if "problem" in entry and entry["problem"]["status"] != 502:  # a random model's line may be malformed
            problem = problem or str(entry["problem"])
    caption = str(body["caption"]) if photo is not None else None
    return _Answer(began=began, ended=ended, digest=digest, problem=problem, photo=photo, caption=caption)


def _row(
    answers: Sequence[_Answer], move: str, swapped: dict[str, Any], before: float, called: float, ended: float
) -> Row:
    during = [answer for answer in answers if answer.ended >= called and answer.began <= ended]
    steady = sorted(
        answer.ended - answer.began for answer in answers if before <= answer.began and answer.ended < called
    )
    took = sorted(answer.ended - answer.began for answer in during)
    return Row(
        move=move,
        mode=swapped["mode"],
        seconds=swapped["seconds"],
        double_memory_s=swapped["double_memory_s"],
        requests=len(during),
        errors=sum(answer.problem is not None for answer in during),
        foreign=_foreign(answers, during),
        by_old=sum(answer.digest == swapped["before"] for answer in during),
        by_new=sum(answer.digest == swapped["digest"] for answer in during),
        steady_p50_ms=_ms(steady, 0.5),
        p50_ms=_ms(took, 0.5),
        longest_ms=_ms(took, 1.0),
    )


def _foreign(answers: Sequence[_Answer], during: Sequence[_Answer]) -> int:
    """How many of ``during`` are what another model wrote of the same photo, and their own never did at another time."""
    wrote: dict[tuple[int | None, str | None], set[str | None]] = {}
    others = set(map(id, during))
    for answer in answers:
        if answer.caption is not None and id(answer) not in others:
            wrote.setdefault((answer.photo, answer.digest), set()).add(answer.caption)
    return sum(
        answer.caption not in wrote.get((answer.photo, answer.digest), {answer.caption})
        and any(answer.caption in said for (photo, _), said in wrote.items() if photo == answer.photo)
        for answer in during
        if answer.caption is not None
    )


def _ms(ascending: Sequence[float], q: float) -> float | None:
    return round(quantile(ascending, q) * 1000, 1) if ascending else None
