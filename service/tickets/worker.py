"""Runs jobs off the queue until told to leave; then every ticket is given back where it is.

A job's message is acknowledged when its function returns, so after the result is saved. A worker that dies loses its
lease, and another one gets what it had.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import structlog
from docket import CurrentExecution, Docket, Execution, ExponentialRetry, Retry, Worker
from opentelemetry.trace import Span, SpanKind, get_tracer

from service.platform.errors import QueueUnavailable, WebhookFailed
from service.tickets.maintenance import TicketMaintenance
from service.tickets.notify import NotifyWebhook
from service.tickets.ports import JUDGE, NOTIFY
from service.tickets.process import ProcessTicket

_log = structlog.get_logger("vqc.worker")
_JUDGE_AGAIN = Retry(attempts=None, delay=timedelta(seconds=1))
_NOTIFY_ATTEMPTS = 10
_NOTIFY_AGAIN = ExponentialRetry(
    attempts=_NOTIFY_ATTEMPTS, minimum_delay=timedelta(seconds=5), maximum_delay=timedelta(minutes=10)
)
_DELIVERY = CurrentExecution()
_tracer = get_tracer("vqc.worker")
_CHECK_S = 0.1
"""How soon a freed place is filled."""
_FORGET_EVERY = 240
"""Sweeps between two looks for what is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """``concurrency`` tickets at once; a worker not heard of for ``lease_s`` has died; at the end ``drain_s`` to give back."""

    concurrency: int = 16
    lease_s: float = 30.0
    drain_s: float = 30.0


class TicketWorker:
    """One worker on a queue."""

    def __init__(
        self, queue: Docket, process: ProcessTicket, notify: NotifyWebhook, sweep: TicketMaintenance, pace: Pace
    ) -> None:
        self._queue = queue
        self._process = process
        self._notify = notify
        self._sweep = sweep
        self._pace = pace
        self._leaving = asyncio.Event()
        self._register()

    def leave(self) -> None:
        """Takes no further job and gives back those it has; ``run`` then returns."""
        self._leaving.set()

    async def run(self) -> None:
        """Works until ``leave``."""
        for name in ("docket.dependencies", "docket.worker"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # it logs each redelivery as an error with a traceback
        worker = Worker(
            self._queue,
            concurrency=self._pace.concurrency,
            redelivery_timeout=timedelta(seconds=self._pace.lease_s),
            reconnection_delay=timedelta(seconds=1),
            minimum_check_interval=timedelta(seconds=_CHECK_S),
            schedule_automatic_tasks=False,
        )
        async with worker:  # leaving the block ends its loop between two reads and waits until every job has ended
            running = asyncio.ensure_future(worker.run_forever())
            sweeping = asyncio.ensure_future(self._sweeping())
            left = asyncio.ensure_future(self._leaving.wait())
            _log.info("working", worker=worker.name, concurrency=self._pace.concurrency)
            try:
                await asyncio.wait({running, left}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._leaving.set()
                asyncio.get_running_loop().call_later(self._pace.drain_s, running.cancel)
                for task in (sweeping, left):
                    task.cancel()
                await asyncio.gather(sweeping, left, return_exceptions=True)
        if not running.cancelled() and (broken := running.exception()) is not None:
            raise broken
        _log.info("left")

    def _register(self) -> None:
        async def judge(job_id: str, retry: Retry = _JUDGE_AGAIN, delivery: Execution = _DELIVERY) -> None:
            with _continued(delivery, JUDGE) as span:
                span.set_attribute("vqc.job_id", job_id)
                again = await self._process(job_id, self._leaving)
            if again is not None:
                retry.after(timedelta(seconds=again.after_s))

        async def notify(job_id: str, retry: Retry = _NOTIFY_AGAIN, delivery: Execution = _DELIVERY) -> None:
            with _continued(delivery, NOTIFY):
                done = await self._notify(job_id, last=retry.attempt >= _NOTIFY_ATTEMPTS)
            if not done:
                raise WebhookFailed(job_id)

        self._queue.register(judge, names=[JUDGE])
        self._queue.register(notify, names=[NOTIFY])

    async def _sweeping(self) -> None:
        for turn in count():
            try:
                if found := await self._sweep.requeue():
                    _log.info("looked after quiet groups", groups=found)
                if turn % _FORGET_EVERY == 0:
                    await self._sweep.forget()
            except QueueUnavailable as error:
                _log.warning("sweep", error=str(error))
            except Exception:
                _log.exception("sweep")
            await asyncio.sleep(self._pace.lease_s / 2)


def _continued(delivery: Execution, name: str) -> AbstractContextManager[Span]:
    """The span of a job within the trace of the request that queued it: one ticket, one trace."""
    return _tracer.start_as_current_span(name, context=delivery.trace_context, kind=SpanKind.CONSUMER)
