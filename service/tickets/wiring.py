"""Puts together what takes and judges submitted tickets: Redis, photos, guidance, the desk for the API, the worker."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from docket import Docket
from redis.asyncio import Redis

from engine.profile import hardware_of
from engine.protocol import DecodingParams
from service.guidance.edit import GuidanceBook
from service.judging.rollouts import plan
from service.judging.sampler import EvidenceKind, Sampler
from service.judging.thresholds import Thresholds
from service.learning.config import load_config
from service.models.router import ModelRouter
from service.photos.metrics import Metrics
from service.photos.reader import PhotoReader
from service.photos.services import PhotoServices
from service.photos.stage_a import SummarisePhotos
from service.platform.admission import Intake
from service.platform.redis_client import connect
from service.platform.redis_server import embedded_redis
from service.platform.server import beside
from service.platform.settings import Settings
from service.tickets.blob_store import FsspecBlobStore
from service.tickets.maintenance import TicketMaintenance
from service.tickets.manage import ManageTickets
from service.tickets.metrics import TicketMetrics
from service.tickets.notify import NotifyWebhook
from service.tickets.process import Attempts, ProcessTicket
from service.tickets.queue import DocketQueue, docket
from service.tickets.redis_store import RedisTicketStore, redis_ticket_store
from service.tickets.review_queue import ReviewQueue
from service.tickets.schemas import ticket_out
from service.tickets.services import TicketServices
from service.tickets.submit import SubmitTicket
from service.tickets.ticket import Ticket
from service.tickets.webhook import SignedWebhook
from service.tickets.work import Judging, WorkOnTicket
from service.tickets.worker import Pace, TicketWorker
from service.tickets.worker_app import create_worker_app

_log = structlog.get_logger("vqc")
_GRID = tuple(
    DecodingParams(max_new_tokens=128, temperature=temperature, top_p=top_p, seed=seed)
    for temperature, top_p, seed in ((0.3, 0.9, 42), (0.6, 0.95, 142), (0.9, 1.0, 242))
)
_SAMPLES, _ADAPTIVE, _SEED = 4, 0.95, 17
"""As in ``configs/stage_b_training_free.yaml``, so that thresholds calibrated with it hold without a setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketParts:
    """What API and worker share: connections, stores and metrics of submitted tickets."""

    settings: Settings
    redis: Redis
    docket: Docket
    queue: DocketQueue
    store: RedisTicketStore
    blobs: FsspecBlobStore
    notifier: SignedWebhook
    metrics: TicketMetrics


@asynccontextmanager
async def serve_tickets(
    settings: Settings,
    *,
    photos: PhotoServices,
    models: ModelRouter,
    guidance: GuidanceBook,
    metrics: Metrics,
    admission: Intake,
    judge: bool,
) -> AsyncGenerator[TicketServices, None]:
    """The services of submitted tickets; ``judge`` also runs a worker, which leaves when the API drains.

    Raises:
        InvalidValue, QueueUnavailable: as ``ticket_parts``.
    """
    async with ticket_parts(settings, metrics) as parts:
        services = ticket_services_of(parts, photos.reader, metrics)
        if not judge:
            yield services
            return
        worker = ticket_worker(parts, models, photos.stage_a, guidance)
        judging = asyncio.ensure_future(_until_left(worker, admission))
        judging.add_done_callback(_stop_if_broken)
        try:
            yield services
        finally:
            worker.leave()
            await judging


async def judge_tickets(
    settings: Settings, *, photos: PhotoServices, models: ModelRouter, guidance: GuidanceBook, metrics: Metrics
) -> None:
    """Judges tickets until SIGTERM or SIGINT."""
    async with ticket_parts(settings, metrics) as parts:
        worker = ticket_worker(parts, models, photos.stage_a, guidance)
        services = ticket_services_of(parts, photos.reader, metrics)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, worker.leave)

        async def reasons() -> list[str]:
            health = await models.health()
            return ([] if health.ready else [health.reason]) + await services.find_problems()

        async def page(accept: str) -> tuple[bytes, str]:
            await services.update_metrics()
            return metrics.page(await models.health(), accept)

        async with beside(create_worker_app(reasons, page), settings.worker_host, settings.worker_port):
            await worker.run()


async def _until_left(worker: TicketWorker, intake: Intake) -> None:
    running = asyncio.ensure_future(worker.run())
    while not running.done() and not intake.leaving:
        await asyncio.wait({running}, timeout=0.1)
    worker.leave()
    await running


def _stop_if_broken(judging: asyncio.Future[None]) -> None:
    """A worker that ends by an error takes the API with it: a supervisor starts both again."""
    if not judging.cancelled() and judging.exception() is not None:
        _log.error("the worker broke", exc_info=judging.exception())
        signal.raise_signal(signal.SIGTERM)


@asynccontextmanager
async def ticket_parts(settings: Settings, metrics: Metrics) -> AsyncGenerator[TicketParts, None]:
    """The parts, connected; a Redis of our own is up inside the block where the settings name none.

    Raises:
        InvalidValue: a setting that cannot work; no Redis is named and none can be started.
        QueueUnavailable: the Redis of our own, or the store of photos, does not come up.
    """
    async with redis_of(settings) as url, _parts(settings, metrics, url) as parts:
        yield parts


@asynccontextmanager
async def redis_of(settings: Settings) -> AsyncGenerator[str, None]:
    """The URL of the Redis that the settings name, else of our own for the length of the block. Raises as ``ticket_parts``."""
    if settings.redis_url is not None:
        yield settings.redis_url.get_secret_value()
        return
    async with embedded_redis(settings.state_dir / "redis") as url:
        yield url


@asynccontextmanager
async def _parts(settings: Settings, metrics: Metrics, url: str) -> AsyncGenerator[TicketParts, None]:
    blobs = FsspecBlobStore(settings.blobs or str(settings.state_dir.absolute() / "blobs"))
    await blobs.ping()
    secret = settings.webhook_secret.get_secret_value().encode() if settings.webhook_secret else None
    async with (
        connect(url) as redis,
        redis_ticket_store(redis) as store,
        docket(url, jobs=tickets_at_once(settings)) as queue,
    ):
        yield TicketParts(
            settings=settings,
            redis=redis,
            docket=queue,
            queue=DocketQueue(queue, redis),
            store=store,
            blobs=blobs,
            notifier=SignedWebhook(settings.webhook_hosts, secret, _webhook_body),
            metrics=TicketMetrics(metrics.registry),
        )


def ticket_services_of(parts: TicketParts, reader: PhotoReader, metrics: Metrics) -> TicketServices:
    """What the API's routes work with."""
    return TicketServices(
        submit=SubmitTicket(
            store=parts.store,
            queue=parts.queue,
            blobs=parts.blobs,
            reader=reader,
            notifier=parts.notifier,
            photo_observer=metrics,
            observer=parts.metrics,
            evidence=sampling_of(parts.settings)[1],
            max_queued=parts.settings.stage_b_max_queued,
        ),
        manage=ManageTickets(parts.store, parts.queue, parts.metrics),
        store=parts.store,
        blobs=parts.blobs,
        waiting=ReviewQueue(parts.store),
        queue=parts.queue,
        metrics=parts.metrics,
    )


def ticket_worker(
    parts: TicketParts, models: ModelRouter, stage_a: SummarisePhotos, guidance: GuidanceBook
) -> TicketWorker:
    """A worker on the parts' queue."""
    settings = parts.settings
    work = WorkOnTicket(
        models=models,
        stage_a=stage_a,
        blobs=parts.blobs,
        guidance=guidance,
        thresholds=Thresholds(settings.guidance_root),
        judging=Judging(
            samplers=sampling_of(settings)[0],
            stage_a=DecodingParams(max_new_tokens=settings.stage_a_max_new_tokens),
            timeout_s=settings.timeout_s,
        ),
        observer=parts.metrics,
    )
    lease_s = settings.stage_b_lease_s
    attempts = Attempts(limit=settings.stage_b_attempts, beat_s=min(1.0, lease_s / 4), alive_s=lease_s / 2)
    return TicketWorker(
        parts.docket,
        ProcessTicket(store=parts.store, queue=parts.queue, work=work, attempts=attempts, observer=parts.metrics),
        NotifyWebhook(store=parts.store, notifier=parts.notifier, observer=parts.metrics),
        TicketMaintenance(
            parts.store,
            parts.queue,
            parts.blobs,
            quiet_s=settings.stage_b_lease_s * 2,
            keep=timedelta(days=settings.stage_b_keep_days),
        ),
        Pace(
            concurrency=tickets_at_once(settings),
            lease_s=settings.stage_b_lease_s,
            drain_s=settings.drain_timeout_s,
        ),
    )


def tickets_at_once(settings: Settings) -> int:
    """How many tickets a worker judges at once: what the settings say, else what keeps an engine of that kind busy."""
    return settings.worker_concurrency or (64 if hardware_of(settings.engine_profile) == "gpu" else 16)


def sampling_of(settings: Settings) -> tuple[dict[EvidenceKind, Sampler], EvidenceKind]:
    """A sampler for each kind of evidence, and the kind that holds unless a ticket says."""
    if settings.stage_b_config is None:
        waves, adaptive, evidence = plan(_GRID, _SAMPLES, _SEED), _ADAPTIVE, EvidenceKind.SUMMARIES
    else:
        sampler = load_config(settings.stage_b_config).sampler_of()
        waves, adaptive, evidence = sampler.waves, sampler.adaptive, sampler.evidence
    return {kind: Sampler(waves=waves, evidence=kind, adaptive=adaptive) for kind in EvidenceKind}, evidence


def _webhook_body(ticket: Ticket) -> bytes:
    return ticket_out(ticket).model_dump_json().encode()
