"""Use case: has the version that an alias names come into force, when asked to or when the alias moves.

A version that cannot be fetched, was trained under another contract or does not come up leaves the old one in force. How
engines change places is ``service.models.exchange``'s, how requests find theirs ``service.models.router``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal, Protocol, TypeVar

import structlog

from engine.errors import EngineError
from service.models.exchange import POLL_S, Exchange
from service.models.observe import Observer
from service.models.router import Checkpoint, Deployment, ModelRouter
from service.platform.errors import SwapFailed, SwapRunning, UnknownModel
from service.platform.messages import Remark
from service.platform.shares import Role
from vqc.errors import InvalidValue, VqcError

FETCH_AGAIN_S = 300.0
"""After so long the watch tries again to fetch a version that could not be fetched. One that did not come up it leaves."""

_T = TypeVar("_T")
Mode = Literal["blue_green", "drain"]
_log = structlog.get_logger("vqc.models")


class ModelSource(Protocol):
    """Where versions come from."""

    async def resolve(self, ref: str) -> str:
        """The digest that an alias, a digest or a directory stands for now. Raises ``VqcError``."""
        ...

    async def fetch(self, ref: str, digest: str, alias: str) -> Checkpoint:
        """The version on disk: verified, made for this code (law 6), and kept until released.

        Raises:
            VqcError: there is no such version or it cannot be had; ``InvalidValue`` when it never can be served.
        """
        ...


HasRoom = Callable[[Checkpoint], Awaitable[bool]]
"""Whether an engine on a version can be up beside those that are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What one role serves: ``ref`` says which version, ``alias`` is what answers call it."""

    role: Role
    alias: str
    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """What a reload did. ``mode`` is None where nothing had to be started; ``cut`` requests did not finish in time."""

    alias: str
    outcome: Literal["swapped", "unchanged", "withdrawn"]
    before: str | None
    digest: str
    mode: Mode | None = None
    seconds: float = 0.0
    double_memory_s: float = 0.0
    cut: int = 0


class SwapModels:
    """Replaces what the router has in force, one model at a time."""

    def __init__(
        self,
        router: ModelRouter,
        served: Sequence[Served],
        source: ModelSource,
        exchange: Exchange,
        observer: Observer,
        *,
        has_room: HasRoom,
    ) -> None:
        self.served = tuple(served)
        self.last: Swap | SwapFailed | None = None
        self._router = router
        self._source = source
        self._exchange = exchange
        self._observer = observer
        self._has_room = has_room
        self._tasks: set[asyncio.Task[object]] = set()
        self._swapping: str | None = None
        self._not_before: dict[Role, tuple[str, float]] = {}
        """The digest that failed last, and when the watch may try it again."""
        self._complaint = ""

    @property
    def doing(self) -> str | None:
        """What the swap under way is at, while there is one."""
        return None if self.step is None else f"{self.step.about!r}: {self.step.text}"

    @property
    def step(self) -> Remark | None:
        """The same for a page, about the alias."""
        return None if self._swapping is None else replace(self._exchange.step, about=self._swapping)

    @property
    def stopping(self) -> list[Deployment]:
        """What is out of force and finishes its requests."""
        return self._exchange.stopping

    async def start(self) -> None:
        """Puts the main model in force with its engine beginning to start. Raises ``VqcError`` when there is none."""
        main = next(served for served in self.served if served.role is Role.MAIN)
        checkpoint = await self._source.fetch(main.ref, await self._source.resolve(main.ref), main.alias)
        try:
            await self._exchange.begin(Role.MAIN, checkpoint)
        except BaseException:
            checkpoint.release()
            raise

    async def reload(self, alias: str) -> Swap:
        """Has the version that ``alias`` names now come into force. A caller that goes away does not stop it.

        Raises:
            UnknownModel: the alias is not served here.
            SwapRunning: another swap is under way.
            SwapFailed: the old version is still in force; says why.
        """
        return await asyncio.shield(self.begin(alias))

    def begin(self, alias: str) -> asyncio.Task[Swap]:
        """As ``reload``, without waiting: what it is at is ``doing``, how it ended is ``last``."""
        served = next((served for served in self.served if served.alias == alias), None)
        if served is None:
            raise UnknownModel(alias, [served.alias for served in self.served])
        if self.doing is not None:
            raise SwapRunning(self.doing)
        self._swapping, self._exchange.step = alias, Remark.of("looking_up", "looked up")
        return self._kept(self._swap(served))

    def follow(self, poll_s: float) -> None:
        """From now on looks every ``poll_s`` where the aliases point, and swaps; with 0 only brings up the others once."""
        self._kept(self._watch(poll_s))

    async def aclose(self) -> None:
        """Gives up what is under way and stops every engine."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._router.aclose()
        await self._exchange.aclose()

    async def _watch(self, poll_s: float) -> None:
        while True:
            if not (await self._router.health()).ready:  # the others do not compete with the main model's start
                await asyncio.sleep(POLL_S)
                continue
            for served in self.served:
                try:
                    await self._look(served)
                except (SwapRunning, SwapFailed):
                    pass  # looked at again soon; written to the log already
                except VqcError as error:
                    self._complain(f"{served.alias}: {error}")
                except Exception:  # the watch must outlive whatever one look brings
                    _log.exception("alias_watch_failed", alias=served.alias)
            if not poll_s:
                return
            await asyncio.sleep(poll_s)

    async def _look(self, served: Served) -> None:
        if self.doing is not None:
            return
        digest, current = await self._source.resolve(served.ref), self._digest(served.role)
        wanted = None if served.role is not Role.MAIN and digest == self._digest(Role.MAIN) else digest
        failed, not_before = self._not_before.get(served.role, (None, 0.0))
        if current != wanted and (failed != digest or _now() >= not_before):
            await self.reload(served.alias)

    async def _swap(self, served: Served) -> Swap:
        began, digest = _now(), None
        try:
            digest = await self._source.resolve(served.ref)
            swap = await self._replaced(served, digest, began)
        except Exception as error:
            if digest is not None:
                for_good = isinstance(error, EngineError | InvalidValue | SwapFailed)
                self._not_before[served.role] = digest, inf if for_good else _now() + FETCH_AGAIN_S
            raise self._failed(served, error, _now() - began) from error
        finally:
            self._swapping = None
        self._not_before.pop(served.role, None)
        if swap.outcome != "unchanged":
            self.last = swap
            self._observer.swapped(swap.outcome, swap.seconds, swap.double_memory_s)
            words = {"before": swap.before, "digest": swap.digest, "mode": swap.mode, "cut": swap.cut}
            _log.info("model_swapped", alias=swap.alias, outcome=swap.outcome, seconds=round(swap.seconds, 1), **words)
        return swap

    def _failed(self, served: Served, error: Exception, seconds: float) -> SwapFailed:
        if isinstance(error, EngineError | SwapFailed):
            reason = error.reason
        else:
            reason = str(error) if isinstance(error, VqcError) else repr(error)
        self.last = failed = SwapFailed(served.alias, reason, self._digest(served.role))
        self._observer.swapped("failed", seconds, 0.0)
        _log.error("model_swap_failed", alias=served.alias, reason=reason, in_force=failed.in_force)
        return failed

    async def _replaced(self, served: Served, digest: str, began: float) -> Swap:
        role, alias, before = served.role, served.alias, self._digest(served.role)
        if role is not Role.MAIN and digest == self._digest(Role.MAIN):  # nothing to try out any more
            old = self._router.withdraw(role, f"{alias!r} is the main model")
            cut = await self._exchange.retire(old) if old else 0
            outcome = "withdrawn" if old else "unchanged"
            return Swap(alias=alias, outcome=outcome, before=before, digest=digest, seconds=_now() - began, cut=cut)
        if before == digest:
            return Swap(alias=alias, outcome="unchanged", before=before, digest=digest)
        self._exchange.step = Remark.of("fetching", "fetching {version}", version=digest)
        checkpoint = await self._source.fetch(served.ref, digest, alias)
        double_memory_s, mode = 0.0, "blue_green"
        try:
            if await self._has_room(checkpoint):
                double_memory_s, cut = await self._exchange.blue_green(role, checkpoint)
            elif before is None:
                raise SwapFailed(alias, "there is no room for one more engine", None)
            else:
                mode, cut = "drain", await self._exchange.drain_and_restart(role, checkpoint)
        except BaseException:
            checkpoint.release()
            raise
        return Swap(
            alias=alias,
            outcome="swapped",
            before=before,
            digest=digest,
            mode=mode,
            seconds=_now() - began,
            double_memory_s=double_memory_s,
            cut=cut,
        )

    def _digest(self, role: Role) -> str | None:
        deployment = self._router.in_force(role)
        return deployment.model.digest if deployment else None

    def _complain(self, words: str) -> None:
        """Writes to the log what the watch has run into; the same words once."""
        if words != self._complaint:
            self._complaint = words
            _log.warning("alias_watch", problem=words)

    def _kept(self, work: Coroutine[object, object, _T]) -> asyncio.Task[_T]:
        """The task of ``work``, stopped by ``aclose``."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: whoever waited has been told, and the log has it


def _now() -> float:
    return asyncio.get_running_loop().time()
