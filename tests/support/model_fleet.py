"""Scripted engines, versions and swaps for the tests of models; each engine answers with its own digest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from engine.protocol import DecodingParams, GenerateRequest, Health, StartPhase
from engine.scripted import ScriptedEngine
from service.models.deployment import Checkpoint
from service.models.exchange import Exchange
from service.models.observe import ModelObserver
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.models.swap import ServedRole, SwapModels
from service.platform.shares import Role
from vqc.errors import InvalidValue, VqcError

MAIN = ServedRole(role=Role.MAIN, alias="champion", ref="champion")


class NamedEngine(ScriptedEngine):
    """Answers its digest. Becomes ready after ``polls`` health checks; with ``broken`` its start fails instead."""

    def __init__(self, digest: str, *, polls: int = 1, broken: str | None = None, **options) -> None:
        super().__init__(lambda request, index: digest, **options)
        self.digest = digest
        self.polls = polls
        self.broken = broken
        self.closed_with_in_flight: int | None = None

    async def health(self) -> Health:
        if self.polls:
            self.polls -= 1
            return Health(ready=False, reason="loading weights", phase=StartPhase.LOADING)
        if self.broken:
            return Health(ready=False, reason=f"{self.broken}; restarting in 1 s, attempt 1", restarts=1)
        return await super().health()

    async def aclose(self) -> None:
        self.closed_with_in_flight = self.in_flight
        await super().aclose()


@dataclass
class Registry:
    """A source of versions: where the aliases are, which fetches fail, and which versions are leased."""

    aliases: dict[str, str] = field(default_factory=lambda: {"champion": "v1"})
    failures: dict[str, VqcError] = field(default_factory=dict)
    leased: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    async def resolve(self, ref: str) -> str:
        if ref not in self.aliases:
            raise InvalidValue("version", ref, f"aliases: {', '.join(self.aliases)}")
        return self.aliases[ref]

    async def fetch(self, ref: str, digest: str, alias: str) -> Checkpoint:
        self.fetched.append(digest)
        await asyncio.sleep(0)
        if digest in self.failures:
            raise self.failures[digest]
        self.leased.append(digest)
        held = [digest]

        def release() -> None:
            if held:
                self.leased.remove(held.pop())

        return Checkpoint(
            model=ServedModel(alias=alias, digest=digest), directory=Path(f"/none/{digest}"), release=release
        )


class Watching(ModelObserver):
    """Remembers what was recorded."""

    def __init__(self) -> None:
        self.active: list[tuple[Role, ServedModel]] = []
        self.roles: list[Role] = []
        self.agreements: list[str] = []
        self.swaps: list[tuple[str, float, float]] = []

    def record_active(self, models):
        self.active = [*models]

    def record_pin(self, role):
        self.roles.append(role)

    def record_comparison(self, agreement):
        self.agreements.append(agreement.value)

    def record_swap(self, outcome, seconds, double_memory_s):
        self.swaps.append((outcome, seconds, double_memory_s))


class Fleet:
    """A router, its swaps and every engine that was launched."""

    def __init__(self, *, served=(MAIN,), room=True, drain_s=5.0, wait_s=5.0, canary=None, shadow=None) -> None:
        self.registry = Registry()
        self.observer = Watching()
        self.engines: list[NamedEngine] = []
        self.broken: dict[str, str] = {}
        self.options: dict[str, object] = {}
        self.room = room
        self.router = ModelRouter(self.observer, canary=canary, shadow=shadow, wait_s=wait_s)
        self.exchange = Exchange(self.router, self.launch, drain_s=drain_s)
        self.swaps = SwapModels(self.router, served, self.registry, self.exchange, self.observer, fits=self.fits)

    async def launch(self, checkpoint: Checkpoint) -> NamedEngine:
        digest = checkpoint.model.digest
        engine = NamedEngine(digest, broken=self.broken.get(digest), **self.options)  # type: ignore[arg-type]
        self.engines.append(engine)
        return engine

    async def fits(self, checkpoint: Checkpoint) -> bool:
        return self.room

    def engine(self, digest: str) -> NamedEngine:
        """The last engine that was launched on a digest."""
        return next(engine for engine in reversed(self.engines) if engine.digest == digest)

    async def __aenter__(self) -> Fleet:
        await self.swaps.launch_main()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.swaps.aclose()


def asked(request_id: str = "r", **decoding) -> GenerateRequest:
    return GenerateRequest(
        request_id=request_id,
        system="",
        user=("1",),
        decoding=DecodingParams(max_new_tokens=64, **decoding),
        timeout_s=120,
    )


async def answer(fleet: Fleet, request_id: str = "r") -> str:
    async with fleet.router.pin(request_id) as pinned:
        return (await pinned.engine.generate(asked(request_id))).completions[0].text


async def until(condition) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.001)
