"""Wires the service from its settings: the one place where all capabilities meet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import structlog
import uvloop

from service.app.context import Context
from service.app.http import create_app
from service.app.metrics import Metrics
from service.app.settings_audit import log_settings, record_settings
from service.console.accounts import parse_group_scopes
from service.console.app import ConsoleOptions, create_console
from service.console.proxy_sign_in import ProxySignIn
from service.console.session_store import MemorySessions, SessionStore
from service.console.sign_in_provider import SignInProvider
from service.guidance.proposal_store import ProposalStore
from service.guidance.services import GuidanceServices
from service.guidance.store import GuidanceStore
from service.models.response_cache import ResponseStore
from service.models.services import ModelServices
from service.models.wiring import model_catalogue, served_models
from service.photos.caption import CaptionPhoto
from service.photos.fetch import PhotoFetcher
from service.photos.reader import PhotoReader
from service.photos.services import DecodingDefaults, PhotoServices
from service.photos.stage_a import SummarisePhotos
from service.platform.admission import AdmissionControl
from service.platform.allowed_hosts import HostRule
from service.platform.audit_log import Action, AuditLog
from service.platform.http_protocol import server_limits
from service.platform.logs import configure
from service.platform.server import server
from service.platform.settings import Settings
from service.platform.tracing import tracing
from service.web.audit_trail import AuditTrail
from service.web.auth import KeyRing
from service.web.key_file import KeyFile
from service.web.key_limits import KeyLimits
from service.web.services import WebServices
from vqc.image import PhotoLimits

_log = structlog.get_logger("vqc")


@asynccontextmanager
async def running(
    settings: Settings, store: ResponseStore | None = None, key_limits: KeyLimits | None = None
) -> AsyncGenerator[Context, None]:
    """The capabilities of one process while its engine starts or answers; all resources are released on exit.

    ``store`` turns the response cache on; ``key_limits`` are those of the API keys.

    Raises:
        InvalidValue: a setting that cannot work, such as a directory without a checkpoint.
    """
    log_settings(settings)
    photo_limits = PhotoLimits(max_bytes=settings.max_photo_bytes, max_pixels=settings.max_photo_pixels)
    admission = AdmissionControl(settings.max_in_flight)
    metrics = Metrics(admission)
    audit = AuditTrail(AuditLog(settings.audit_root), metrics.http.record_audit_failure)
    note_change = partial(audit.write, Action.KEYS_CHANGED, by=f"process {os.getpid()}")
    keys = KeyRing(KeyFile(settings.api_keys_file, note_change) if settings.api_keys_file else None)
    http = server_limits(settings.http_limits(), metrics.http.record_rejection)
    metrics.http.observe_server(http)
    models, swaps = await served_models(settings, metrics.models, store)
    reader = PhotoReader(photo_limits, settings.photo_threads, metrics.photos)
    try:
        yield Context(
            web=WebServices(
                keys=keys,
                hosts=HostRule(settings.allowed_hosts, keyed=not keys.admits_every_caller),
                admission=admission,
                max_body_bytes=settings.max_body_bytes,
                audit=audit,
                limits=key_limits or KeyLimits(),
                trusted_proxies=settings.trusted_proxies,
                max_small_body_bytes=settings.max_small_body_bytes,
                server=http,
            ),
            photos=PhotoServices(
                caption=CaptionPhoto(models, reader, metrics.photos),
                stage_a=SummarisePhotos(models, reader, metrics.photos),
                fetch=PhotoFetcher(settings.url_hosts, max_bytes=settings.max_photo_bytes),
                reader=reader,
                defaults=DecodingDefaults(
                    caption_max_new_tokens=settings.caption_max_new_tokens,
                    stage_a_max_new_tokens=settings.stage_a_max_new_tokens,
                    timeout_s=settings.timeout_s,
                ),
            ),
            models=ModelServices(router=models, swaps=swaps, catalogue=model_catalogue(settings)),
            guidance=GuidanceServices(
                versions=GuidanceStore(settings.guidance_root), proposals=ProposalStore(settings.guidance_root)
            ),
            metrics=metrics,
        )
    finally:
        await swaps.aclose()
        reader.close()


def serve(settings: Settings, *, judge: bool = False) -> None:
    """Serves HTTP until SIGTERM or SIGINT, then drains and stops the engine; ``judge`` also judges submitted tickets."""
    configure(settings.log_level)
    with (
        _tracing(settings, "vqc-up" if judge else "vqc-api"),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(settings, judge))


def work(settings: Settings) -> None:
    """Judges submitted tickets until SIGTERM or SIGINT, then returns unfinished tickets to the queue and stops the engine."""
    configure(settings.log_level)
    with _tracing(settings, "vqc-worker"), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings))


def _tracing(settings: Settings, service: str) -> AbstractContextManager[None]:
    return tracing(settings.traces, share=settings.traces_share, service=service)


async def _work(settings: Settings) -> None:
    from service.tickets.wiring import judge_tickets

    async with _response_store(settings) as store, running(settings, store) as context:
        await asyncio.to_thread(record_settings, settings, context.web.audit, "worker")
        await judge_tickets(
            settings,
            photos=context.photos,
            models=context.models.router,
            guidance=context.guidance.versions,
            registry=context.metrics.registry,
            scrape_page=context.metrics.page,
        )


async def _serve(settings: Settings, judge: bool) -> None:
    async with (
        _session_store(settings) as sessions,
        _key_limits(settings) as limits,
        _response_store(settings) as store,
        running(settings, store, limits) as context,
    ):
        await asyncio.to_thread(record_settings, settings, context.web.audit, "up" if judge else "api")
        if settings.stage_b == "off":
            await _listen(settings, context, sessions)
            return
        from service.tickets.wiring import serve_tickets

        async with serve_tickets(
            settings,
            photos=context.photos,
            models=context.models.router,
            guidance=context.guidance.versions,
            registry=context.metrics.registry,
            admission=context.web.admission,
            judge=judge,
        ) as tickets:
            await _listen(settings, replace(context, tickets=tickets), sessions)


@asynccontextmanager
async def _session_store(settings: Settings) -> AsyncGenerator[SessionStore, None]:
    """The store of console sessions: in Redis, or in the process if it uses no Redis."""
    if settings.stage_b == "off" and settings.redis_url is None:
        yield MemorySessions()
        return
    from service.console.redis_sessions import RedisSessions
    from service.platform.redis_client import connect
    from service.tickets.wiring import redis_of

    async with redis_of(settings) as url, connect(url) as redis:
        yield RedisSessions(redis)


@asynccontextmanager
async def _key_limits(settings: Settings) -> AsyncGenerator[KeyLimits, None]:
    """The limits of API keys, counted in Redis, or in the process if it uses no Redis."""
    rate, quota = settings.key_rate_per_minute, settings.key_quota_per_day
    if settings.stage_b == "off" and settings.redis_url is None:
        yield KeyLimits(rate_per_minute=rate, quota_per_day=quota)
        return
    from service.platform.redis_client import answering
    from service.tickets.wiring import redis_of
    from service.web.redis_limits import redis_limits

    async with redis_of(settings) as url, redis_limits(url) as storage:
        yield KeyLimits(storage, rate_per_minute=rate, quota_per_day=quota, reporting=answering)


@asynccontextmanager
async def _response_store(settings: Settings) -> AsyncGenerator[ResponseStore | None, None]:
    """The response cache's store; None if the settings turn the cache off."""
    if not settings.answer_cache_h:
        yield None
        return
    from service.models.response_cache_redis import TIMEOUT_S, RedisResponses
    from service.platform.redis_client import connect
    from service.tickets.wiring import redis_of

    async with redis_of(settings) as url, connect(url, timeout_s=TIMEOUT_S) as redis:
        yield RedisResponses(redis, keep_s=settings.answer_cache_h * 3600, most=settings.answer_cache_entries)


def _oidc_provider(settings: Settings) -> SignInProvider | None:
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    from service.console.oidc import OidcClient, OidcProvider

    secret = settings.oidc_client_secret
    return OidcProvider(
        OidcClient(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            groups_claim=settings.oidc_groups_claim,
            scope=settings.oidc_scope,
        )
    )


async def _listen(settings: Settings, context: Context, sessions: SessionStore) -> None:
    options = ConsoleOptions(
        session_idle=timedelta(hours=settings.console_session_h),
        groups=parse_group_scopes("VQC_CONSOLE_GROUPS", settings.console_groups),
        oidc=_oidc_provider(settings),
        proxy=ProxySignIn(user_header=settings.sign_in_header, groups_header=settings.sign_in_groups_header)
        if settings.sign_in_header
        else None,
        grafana_url=settings.grafana_url,
    )
    http = server(
        create_app(
            context,
            console=create_console(options, attach=context.attach_to, keys=context.web.keys, store=sessions),
        ),
        context.web.admission,
        context.web.server,
        host=settings.host,
        port=settings.port,
        drain_delay_s=settings.drain_delay_s,
        drain_timeout_s=settings.drain_timeout_s,
    )
    _log.info(
        "serving",
        host=settings.host,
        port=settings.port,
        model=context.models.router.model.alias,
        engine=settings.engine,
    )
    await http.serve()
    _log.info("stopped")
