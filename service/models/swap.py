"""Use case: activates the version that an alias names, on request or when the alias moves.

A version that cannot be fetched, was trained under another contract or whose engine does not become ready leaves the old one
active. ``service.models.exchange`` replaces the engines, ``service.models.router`` leads requests to theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal, Protocol, TypeVar

import structlog

from engine.errors import EngineError
from service.models.deployment import Checkpoint, Deployment
from service.models.exchange import POLL_S, Exchange
from service.models.observe import ModelObserver
from service.models.router import ModelRouter
from service.platform.errors import SwapFailed, SwapRunning, UnknownModel
from service.platform.messages import LocalizedMessage
from service.platform.shares import Role
from vqc.errors import InvalidValue, VqcError

FETCH_AGAIN_S = 300.0
"""When the watch tries again to fetch a version that could not be fetched. A version that failed to start is not retried."""

_T = TypeVar("_T")
SwapMode = Literal["blue_green", "drain"]
_log = structlog.get_logger("vqc.models")


class ModelSource(Protocol):
    """Where versions come from."""

    async def resolve(self, ref: str) -> str:
        """The digest that an alias, a digest or a directory names now. Raises ``VqcError``."""
        ...

    async def fetch(self, ref: str, digest: str, alias: str) -> Checkpoint:
        """The version on disk: verified, of this code's contract (law 6), and leased until it is released.

        Raises:
            VqcError: the version cannot be fetched; ``InvalidValue`` if it can never be served.
        """
        ...


Fits = Callable[[Checkpoint], Awaitable[bool]]
"""Whether there is room for an engine on this version beside those that are running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRole:
    """What one role serves: ``ref`` says which version, ``alias`` is its name in responses."""

    role: Role
    alias: str
    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapResult:
    """What a reload did. ``mode`` is None where no engine had to start; ``cut`` requests did not finish in time."""

    alias: str
    outcome: Literal["swapped", "unchanged", "withdrawn"]
    before: str | None
    digest: str
    mode: SwapMode | None = None
    seconds: float = 0.0
    double_memory_s: float = 0.0
    cut: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapStatus:
    """The step of the running swap (None: no swap is running), about its alias, and the last swap that changed something."""

    progress: LocalizedMessage | None = None
    last_result: SwapResult | SwapFailed | None = None

    @property
    def summary(self) -> str | None:
        """The progress in one line."""
        return None if self.progress is None else f"{self.progress.about!r}: {self.progress.text}"


class SwapModels:
    """Replaces the router's active models, one at a time. ``status`` is replaced as a whole, by this class only."""

    def __init__(
        self,
        router: ModelRouter,
        served: Sequence[ServedRole],
        source: ModelSource,
        exchange: Exchange,
        observer: ModelObserver,
        *,
        fits: Fits,
    ) -> None:
        self.served = tuple(served)
        self.status = SwapStatus()
        self._router = router
        self._source = source
        self._exchange = exchange
        self._observer = observer
        self._fits = fits
        self._tasks: set[asyncio.Task[object]] = set()
        self._not_before: dict[Role, tuple[str, float]] = {}
        """The digest that failed last, and when the watch may try it again."""
        self._last_warning = ""

    @property
    def stopping(self) -> list[Deployment]:
        """The deployments that are no longer active and finish their requests."""
        return self._exchange.stopping

    async def launch_main(self) -> None:
        """Activates the main model while its engine begins to start. Raises ``VqcError`` if there is no such version."""
        main = next(served for served in self.served if served.role is Role.MAIN)
        checkpoint = await self._source.fetch(main.ref, await self._source.resolve(main.ref), main.alias)
        try:
            await self._exchange.launch(Role.MAIN, checkpoint)
        except BaseException:
            checkpoint.release()
            raise

    async def reload(self, alias: str) -> SwapResult:
        """Activates the version that ``alias`` names now.

        Raises:
            UnknownModel: the alias is not served here.
            SwapRunning: another swap is running.
            SwapFailed: the old version is still active; says why.
        """
        # Shielded: a caller that disconnects must not leave the service halfway between two versions.
        return await asyncio.shield(self.start(alias))

    def start(self, alias: str) -> asyncio.Task[SwapResult]:
        """Starts a reload without waiting; ``status`` has its progress and its result. Raises as ``reload`` does."""
        served = next((served for served in self.served if served.alias == alias), None)
        if served is None:
            raise UnknownModel(alias, [served.alias for served in self.served])
        if self.status.summary is not None:
            raise SwapRunning(self.status.summary)
        # Set here and not in the task: a second call before the task's first step must already find a swap running.
        self._report(alias, LocalizedMessage.of("looking_up", "looked up"))
        return self._create_task(self._swap(served))

    def follow(self, poll_s: float) -> None:
        """Checks every ``poll_s`` where the aliases point, and swaps; 0 only activates canary and shadow once."""
        self._create_task(self._watch(poll_s))

    async def aclose(self) -> None:
        """Cancels the running swap and stops every engine."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._router.aclose()
        await self._exchange.aclose()

    async def _watch(self, poll_s: float) -> None:
        while True:
            if not (await self._router.health()).ready:  # the others must not compete with the main model's start
                await asyncio.sleep(POLL_S)
                continue
            for served in self.served:
                try:
                    await self._swap_if_moved(served)
                except (SwapRunning, SwapFailed):
                    pass  # logged by the swap; the next round tries again
                except VqcError as error:
                    self._warn(f"{served.alias}: {error}")
                except Exception:  # the watch must survive whatever a round raises
                    _log.exception("alias_watch_failed", alias=served.alias)
            if not poll_s:
                return
            await asyncio.sleep(poll_s)

    async def _swap_if_moved(self, served: ServedRole) -> None:
        if self.status.progress is not None:
            return
        digest, current = await self._source.resolve(served.ref), self._active_digest(served.role)
        # A canary or shadow that has become the main model has nothing left to try out: its role is to be empty.
        wanted = None if served.role is not Role.MAIN and digest == self._active_digest(Role.MAIN) else digest
        failed, not_before = self._not_before.get(served.role, (None, 0.0))
        if current != wanted and (failed != digest or _now() >= not_before):
            await self.reload(served.alias)

    async def _swap(self, served: ServedRole) -> SwapResult:
        began, digest = _now(), None
        try:
            digest = await self._source.resolve(served.ref)
            result = await self._replace(served, digest, began)
        except Exception as error:
            if digest is not None:
                # A version whose engine fails, or that can never be served, would fail each round: not before it moves.
                for_good = isinstance(error, EngineError | InvalidValue | SwapFailed)
                self._not_before[served.role] = digest, inf if for_good else _now() + FETCH_AGAIN_S
            raise self._record_failure(served, error, _now() - began) from error
        finally:
            self.status = replace(self.status, progress=None)
        self._not_before.pop(served.role, None)
        if result.outcome != "unchanged":
            self.status = replace(self.status, last_result=result)
            self._observer.record_swap(result.outcome, result.seconds, result.double_memory_s)
            values = {"before": result.before, "digest": result.digest, "mode": result.mode, "cut": result.cut}
            seconds = round(result.seconds, 1)
            _log.info("model_swapped", alias=result.alias, outcome=result.outcome, seconds=seconds, **values)
        return result

    def _record_failure(self, served: ServedRole, error: Exception, seconds: float) -> SwapFailed:
        if isinstance(error, EngineError | SwapFailed):
            reason = error.reason
        else:
            reason = str(error) if isinstance(error, VqcError) else repr(error)
        failed = SwapFailed(served.alias, reason, self._active_digest(served.role))
        self.status = replace(self.status, last_result=failed)
        self._observer.record_swap("failed", seconds, 0.0)
        _log.error("model_swap_failed", alias=served.alias, reason=reason, in_force=failed.active)
        return failed

    async def _replace(self, served: ServedRole, digest: str, began: float) -> SwapResult:
        role, alias, before = served.role, served.alias, self._active_digest(served.role)

        def report(step: LocalizedMessage) -> None:
            self._report(alias, step)

        if role is not Role.MAIN and digest == self._active_digest(Role.MAIN):
            old = self._router.withdraw(role, f"{alias!r} is the main model")
            cut = await self._exchange.retire(old, report) if old else 0
            outcome = "withdrawn" if old else "unchanged"
            return SwapResult(
                alias=alias, outcome=outcome, before=before, digest=digest, seconds=_now() - began, cut=cut
            )
        if before == digest:
            return SwapResult(alias=alias, outcome="unchanged", before=before, digest=digest)
        report(LocalizedMessage.of("fetching", "fetching {version}", version=digest))
        checkpoint = await self._source.fetch(served.ref, digest, alias)
        double_memory_s, mode = 0.0, "blue_green"
        try:
            if await self._fits(checkpoint):
                double_memory_s, cut = await self._exchange.blue_green(role, checkpoint, report)
            elif before is None:
                raise SwapFailed(alias, "there is no room for one more engine", None)
            else:
                mode, cut = "drain", await self._exchange.drain_and_restart(role, checkpoint, report)
        except BaseException:
            checkpoint.release()
            raise
        return SwapResult(
            alias=alias,
            outcome="swapped",
            before=before,
            digest=digest,
            mode=mode,
            seconds=_now() - began,
            double_memory_s=double_memory_s,
            cut=cut,
        )

    def _report(self, alias: str, step: LocalizedMessage) -> None:
        self.status = replace(self.status, progress=replace(step, about=alias))

    def _active_digest(self, role: Role) -> str | None:
        deployment = self._router.active(role)
        return deployment.model.digest if deployment else None

    def _warn(self, problem: str) -> None:
        """Logs why the watch could not check an alias; the same problem only once."""
        if problem != self._last_warning:
            self._last_warning = problem
            _log.warning("alias_watch", problem=problem)

    def _create_task(self, work: Coroutine[object, object, _T]) -> asyncio.Task[_T]:
        """A task that ``aclose`` cancels."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved: the status and the log have it, and asyncio would log it again


def _now() -> float:
    return asyncio.get_running_loop().time()
