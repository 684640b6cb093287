"""Runs jobs from the queue until it is stopped; then it releases every ticket in the state that is saved.

A job's message is acknowledged when its function returns, which is after the result is saved. A worker that dies loses its
leases, and its jobs are redelivered to another one.
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
_JUDGE_RETRY = Retry(attempts=None, delay=timedelta(seconds=1))
_NOTIFY_ATTEMPTS = 10
_NOTIFY_RETRY = ExponentialRetry(
    attempts=_NOTIFY_ATTEMPTS, minimum_delay=timedelta(seconds=5), maximum_delay=timedelta(minutes=10)
)
_DELIVERY = CurrentExecution()
_tracer = get_tracer("vqc.worker")
_CHECK_S = 0.1
"""The time until a free slot takes the next job."""
_DELETE_EVERY = 240
"""Rounds of maintenance between two deletions of expired tickets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLimits:
    """``concurrency`` jobs at once, with leases of ``lease_s``; after ``stop``, ``drain_s`` to release the tickets."""

    concurrency: int = 16
    lease_s: float = 30.0
    drain_s: float = 30.0


class TicketWorker:
    """One worker on a queue."""

    def __init__(
        self,
        queue: Docket,
        process: ProcessTicket,
        notify: NotifyWebhook,
        maintenance: TicketMaintenance,
        limits: WorkerLimits,
    ) -> None:
        self._queue = queue
        self._process = process
        self._notify = notify
        self._maintenance = maintenance
        self._limits = limits
        self._stopping = asyncio.Event()
        self._register_jobs()

    def stop(self) -> None:
        """Takes no further job and releases the tickets in progress; ``run`` then returns."""
        self._stopping.set()

    async def run(self) -> None:
        """Runs jobs until ``stop``."""
        for name in ("docket.dependencies", "docket.worker"):
            logging.getLogger(name).setLevel(
                logging.CRITICAL
            )  # docket logs every redelivery as an error with a traceback
        worker = Worker(
            self._queue,
            concurrency=self._limits.concurrency,
            redelivery_timeout=timedelta(seconds=self._limits.lease_s),
            reconnection_delay=timedelta(seconds=1),
            minimum_check_interval=timedelta(seconds=_CHECK_S),
            schedule_automatic_tasks=False,
        )
        async with worker:
            running = asyncio.ensure_future(worker.run_forever())
            maintaining = asyncio.ensure_future(self._maintain())
            stopped = asyncio.ensure_future(self._stopping.wait())
            _log.info("worker_started", worker=worker.name, concurrency=self._limits.concurrency)
            try:
                await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                # Every job watches this event and returns after it has released its ticket. The exit of ``worker`` stops the
                # reading of the stream between two reads and waits for the jobs. Cancelling ``running`` would instead cut off
                # their last save, so that is only for jobs that do not return in time; their leases then expire.
                self._stopping.set()
                asyncio.get_running_loop().call_later(self._limits.drain_s, running.cancel)
                for task in (maintaining, stopped):
                    task.cancel()
                await asyncio.gather(maintaining, stopped, return_exceptions=True)
        if not running.cancelled() and (error := running.exception()) is not None:
            raise error
        _log.info("worker_stopped")

    def _register_jobs(self) -> None:
        async def judge(job_id: str, retry: Retry = _JUDGE_RETRY, delivery: Execution = _DELIVERY) -> None:
            with _job_span(delivery, JUDGE) as span:
                span.set_attribute("vqc.job_id", job_id)
                redeliver = await self._process(job_id, self._stopping)
            if redeliver is not None:
                retry.after(timedelta(seconds=redeliver.after_s))

        async def notify(job_id: str, retry: Retry = _NOTIFY_RETRY, delivery: Execution = _DELIVERY) -> None:
            with _job_span(delivery, NOTIFY):
                done = await self._notify(job_id, last=retry.attempt >= _NOTIFY_ATTEMPTS)
            if not done:
                raise WebhookFailed(job_id)

        self._queue.register(judge, names=[JUDGE])
        self._queue.register(notify, names=[NOTIFY])

    async def _maintain(self) -> None:
        for turn in count():
            try:
                await self._maintenance.repair()
                if requeued := await self._maintenance.requeue_lost():
                    _log.info("tickets_requeued", groups=requeued)
                if renotified := await self._maintenance.renotify_lost():
                    _log.info("webhooks_requeued", groups=renotified)
                if turn % _DELETE_EVERY == 0:
                    await self._maintenance.delete_expired()
            except QueueUnavailable as error:
                _log.warning("maintenance_postponed", error=str(error))
            except Exception:  # maintenance goes on with its next round, whatever failed in this one
                _log.exception("maintenance_failed")
            await asyncio.sleep(self._limits.lease_s / 2)


def _job_span(delivery: Execution, name: str) -> AbstractContextManager[Span]:
    """The span of a job, in the trace of the request that queued it."""
    return _tracer.start_as_current_span(name, context=delivery.trace_context, kind=SpanKind.CONSUMER)
