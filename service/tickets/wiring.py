"""Wires the ticket services of the API and the worker: Redis, blob store, guidance, metrics."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from docket import Docket
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from engine.profile import hardware_of
from engine.protocol import DecodingParams, Health
from service.guidance.store import GuidanceStore
from service.judging.decision import ReleaseRule
from service.judging.release_state import ReleaseStates
from service.judging.sampler import EvidenceKind, Sampler
from service.judging.thresholds import Thresholds
from service.learning.config import default_sampler, load_config
from service.models.router import ModelRouter
from service.photos.reader import PhotoReader
from service.photos.services import PhotoServices
from service.photos.stage_a import SummarisePhotos
from service.platform.admission import AdmissionControl
from service.platform.redis_client import connect
from service.platform.redis_safety import RedisSafety
from service.platform.redis_server import embedded_redis
from service.platform.server import serve_beside
from service.platform.settings import Settings
from service.tickets.blob_store import BlobStore
from service.tickets.heartbeat_watch import HeartbeatWatch
from service.tickets.maintenance import TicketMaintenance
from service.tickets.manage import ManageTickets
from service.tickets.metrics import TicketMetrics
from service.tickets.notify import NotifyWebhook
from service.tickets.pictures import TicketPictures
from service.tickets.process import ProcessTicket, RetryPolicy
from service.tickets.queue import DocketQueue, docket
from service.tickets.redis_deliveries import RedisDeliveries
from service.tickets.redis_store import RedisTicketStore, redis_ticket_store
from service.tickets.review_queue import ReviewQueue
from service.tickets.schemas import ticket_out
from service.tickets.services import TicketServices
from service.tickets.submit import SubmitTicket
from service.tickets.ticket import Ticket
from service.tickets.webhook import SignedWebhook
from service.tickets.work import JudgingConfig, WorkOnTicket
from service.tickets.worker import TicketWorker, WorkerLimits
from service.tickets.worker_app import create_worker_app

_log = structlog.get_logger("vqc")


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketParts:
    """The connections, stores and metrics that API and worker share."""

    settings: Settings
    redis: Redis
    safety: RedisSafety
    docket: Docket
    queue: DocketQueue
    store: RedisTicketStore
    blobs: BlobStore
    webhook: SignedWebhook
    deliveries: RedisDeliveries
    metrics: TicketMetrics


@asynccontextmanager
async def serve_tickets(
    settings: Settings,
    *,
    photos: PhotoServices,
    models: ModelRouter,
    guidance: GuidanceStore,
    registry: CollectorRegistry,
    admission: AdmissionControl,
    judge: bool,
) -> AsyncGenerator[TicketServices, None]:
    """The services of submitted tickets. ``judge`` also runs a worker, which stops when the API drains.

    Raises:
        InvalidValue, QueueUnavailable: as ``ticket_parts``.
    """
    async with ticket_parts(settings, registry) as parts:
        services = ticket_services_of(parts, photos.reader)
        if not judge:
            yield services
            return
        worker = ticket_worker(parts, models, photos.stage_a, guidance)
        judging = asyncio.ensure_future(_run_until_drained(worker, admission))
        judging.add_done_callback(_stop_on_failure)
        try:
            yield services
        finally:
            worker.stop()
            await judging


async def judge_tickets(
    settings: Settings,
    *,
    photos: PhotoServices,
    models: ModelRouter,
    guidance: GuidanceStore,
    registry: CollectorRegistry,
    scrape_page: Callable[[Health, str], tuple[bytes, str]],
) -> None:
    """Judges tickets until SIGTERM or SIGINT. ``scrape_page`` renders ``registry`` for an ``Accept`` header."""
    async with ticket_parts(settings, registry) as parts:
        worker = ticket_worker(parts, models, photos.stage_a, guidance)
        services = ticket_services_of(parts, photos.reader)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, worker.stop)

        async def find_problems() -> list[str]:
            health = await models.health()
            return ([] if health.ready else [health.reason]) + await services.find_problems()

        async def metrics_page(accept: str) -> tuple[bytes, str]:
            await services.update_metrics()
            return scrape_page(await models.health(), accept)

        async with serve_beside(
            create_worker_app(find_problems, metrics_page), settings.worker_host, settings.worker_port
        ):
            await worker.run()


async def _run_until_drained(worker: TicketWorker, admission: AdmissionControl) -> None:
    running = asyncio.ensure_future(worker.run())
    while not running.done() and not admission.leaving:
        await asyncio.wait({running}, timeout=0.1)
    worker.stop()
    await running


def _stop_on_failure(judging: asyncio.Future[None]) -> None:
    """Stops the process when the worker has failed, so that a supervisor restarts API and worker together."""
    if not judging.cancelled() and judging.exception() is not None:
        _log.error("worker_failed", exc_info=judging.exception())
        signal.raise_signal(signal.SIGTERM)


@asynccontextmanager
async def ticket_parts(settings: Settings, registry: CollectorRegistry) -> AsyncGenerator[TicketParts, None]:
    """The parts, connected. Without a Redis in the settings, an embedded one runs inside the block.

    Raises:
        InvalidValue: a setting is not valid, or no Redis is named and none can be started.
        QueueUnavailable: the embedded Redis or the blob store does not start.
    """
    async with redis_of(settings) as url, _connect_parts(settings, registry, url) as parts:
        yield parts


@asynccontextmanager
async def redis_of(settings: Settings) -> AsyncGenerator[str, None]:
    """The URL of the Redis in the settings, or of an embedded one that runs inside the block. Raises as ``ticket_parts``."""
    if settings.redis_url is not None:
        yield settings.redis_url.get_secret_value()
        return
    async with embedded_redis(settings.state_dir / "redis") as url:
        yield url


@asynccontextmanager
async def _connect_parts(
    settings: Settings, registry: CollectorRegistry, url: str
) -> AsyncGenerator[TicketParts, None]:
    blobs = BlobStore(settings.blobs or str(settings.state_dir.absolute() / "blobs"))
    await blobs.ping()
    secret = settings.webhook_secret.get_secret_value().encode() if settings.webhook_secret else None
    async with (
        connect(url) as redis,
        _check_redis(RedisSafety(redis, allow=settings.redis_unsafe == "allow")) as safety,
        redis_ticket_store(redis) as store,
        docket(url, jobs=tickets_at_once(settings)) as queue,
    ):
        yield TicketParts(
            settings=settings,
            redis=redis,
            safety=safety,
            docket=queue,
            queue=DocketQueue(queue, redis),
            store=store,
            blobs=blobs,
            webhook=SignedWebhook(settings.webhook_hosts, secret, _webhook_body),
            deliveries=RedisDeliveries(redis, keep=timedelta(days=settings.stage_b_keep_days)),
            metrics=TicketMetrics(registry),
        )


@asynccontextmanager
async def _check_redis(safety: RedisSafety) -> AsyncGenerator[RedisSafety, None]:
    await safety.check_at_start()
    yield safety


def ticket_services_of(parts: TicketParts, reader: PhotoReader) -> TicketServices:
    """The services that the API's routes use."""
    samplers, evidence = sampling_of(parts.settings)
    return TicketServices(
        submit=SubmitTicket(
            store=parts.store,
            queue=parts.queue,
            blobs=parts.blobs,
            reader=reader,
            webhook=parts.webhook,
            observer=parts.metrics,
            evidence=evidence,
            max_queued=parts.settings.stage_b_max_queued,
        ),
        manage=ManageTickets(parts.store, parts.queue, parts.metrics),
        store=parts.store,
        blobs=parts.blobs,
        pictures=TicketPictures(parts.blobs, reader),
        waiting=ReviewQueue(parts.store),
        queue=parts.queue,
        deliveries=parts.deliveries,
        metrics=parts.metrics,
        max_queued=parts.settings.stage_b_max_queued,
        safety=parts.safety,
        releases=ReleaseStates(
            Thresholds(parts.settings.guidance_root), samplers[evidence], ReleaseRule(parts.settings.release)
        ),
    )


def ticket_worker(
    parts: TicketParts, models: ModelRouter, stage_a: SummarisePhotos, guidance: GuidanceStore
) -> TicketWorker:
    """A worker on the queue of ``parts``."""
    settings = parts.settings
    work = WorkOnTicket(
        models=models,
        stage_a=stage_a,
        blobs=parts.blobs,
        guidance=guidance,
        thresholds=Thresholds(settings.guidance_root),
        judging=JudgingConfig(
            samplers=sampling_of(settings)[0],
            stage_a=DecodingParams(max_new_tokens=settings.stage_a_max_new_tokens),
            timeout_s=settings.timeout_s,
            release=ReleaseRule(settings.release),
        ),
        observer=parts.metrics,
    )
    lease_s, watch = settings.stage_b_lease_s, HeartbeatWatch()
    retry_policy = RetryPolicy(
        max_attempts=settings.stage_b_attempts,
        heartbeat_interval_s=min(1.0, lease_s / 4),
        heartbeat_timeout_s=lease_s / 2,
    )
    return TicketWorker(
        parts.docket,
        ProcessTicket(
            store=parts.store,
            queue=parts.queue,
            work=work,
            retry_policy=retry_policy,
            observer=parts.metrics,
            watch=watch,
        ),
        NotifyWebhook(store=parts.store, webhook=parts.webhook, deliveries=parts.deliveries, observer=parts.metrics),
        TicketMaintenance(
            parts.store,
            parts.queue,
            parts.blobs,
            watch=watch,
            quiet_s=settings.stage_b_lease_s * 2,
            keep=timedelta(days=settings.stage_b_keep_days),
        ),
        WorkerLimits(
            concurrency=tickets_at_once(settings),
            lease_s=settings.stage_b_lease_s,
            drain_s=settings.drain_timeout_s,
        ),
    )


def tickets_at_once(settings: Settings) -> int:
    """The number of tickets that a worker judges at once; the default keeps an engine on that hardware busy."""
    return settings.worker_concurrency or (64 if hardware_of(settings.engine_profile) == "gpu" else 16)


def sampling_of(settings: Settings) -> tuple[dict[EvidenceKind, Sampler], EvidenceKind]:
    """A sampler for each kind of evidence, and the default kind."""
    path = settings.stage_b_config
    # The default is the training-free loop's own, so that thresholds calibrated by it hold without a setting.
    sampler = default_sampler() if path is None else load_config(path).sampler_of()
    return {kind: replace(sampler, evidence=kind) for kind in EvidenceKind}, sampler.evidence


def _webhook_body(ticket: Ticket) -> bytes:
    return ticket_out(ticket).model_dump_json().encode()
