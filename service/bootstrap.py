"""Puts the service together from its settings: the one place where parts meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
import uvloop

from engine.protocol import Engine, GenerateRequest, Sampling
from service.adapters.checkpoint import check_contract, checkpoint_digest
from service.adapters.fetch import PhotoFetcher
from service.api.app import create_app
from service.api.auth import KeyRing, read_keys
from service.api.context import Context, Defaults
from service.application.caption import CaptionPhoto
from service.application.intake import Intake
from service.application.photos import PhotoReader
from service.application.stage_a import SummarisePhotos
from service.domain.results import ServedModel
from service.logs import configure
from service.metrics import Metrics
from service.server import server
from service.settings import Settings
from vqc.errors import InvalidValue
from vqc.grammar import CAPTION_GRAMMAR, SUMMARY_GRAMMAR
from vqc.image import PhotoLimits

_log = structlog.get_logger("vqc")


@asynccontextmanager
async def running(settings: Settings) -> AsyncGenerator[Context, None]:
    """The use cases with their engine starting or answering; everything is let go of at the end.

    Raises:
        InvalidValue: a setting that cannot work, such as a checkpoint directory that is none.
    """
    limits = PhotoLimits(max_bytes=settings.max_photo_bytes, max_pixels=settings.max_photo_pixels)
    keys = KeyRing(read_keys(settings.api_keys_file) if settings.api_keys_file else None)
    model = await asyncio.to_thread(_served_model, settings)
    intake = Intake(settings.max_in_flight)
    metrics = Metrics(intake, model)
    reader = PhotoReader(limits, settings.photo_threads)
    engine = await _engine(settings, model)
    try:
        yield Context(
            engine=engine,
            model=model,
            caption=CaptionPhoto(engine, reader, metrics),
            stage_a=SummarisePhotos(engine, reader, metrics),
            fetch=PhotoFetcher(settings.url_hosts, max_bytes=settings.max_photo_bytes),
            keys=keys,
            intake=intake,
            metrics=metrics,
            defaults=Defaults(
                caption_max_new_tokens=settings.caption_max_new_tokens,
                stage_a_max_new_tokens=settings.stage_a_max_new_tokens,
                timeout_s=settings.timeout_s,
            ),
            max_body_bytes=settings.max_body_bytes,
        )
    finally:
        await engine.aclose()
        reader.close()


def serve(settings: Settings) -> None:
    """Serves HTTP until SIGTERM or SIGINT, then drains and stops the engine."""
    configure(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    async with running(settings) as context:
        http = server(
            create_app(context),
            context.intake,
            host=settings.host,
            port=settings.port,
            drain_delay_s=settings.drain_delay_s,
            drain_timeout_s=settings.drain_timeout_s,
        )
        _log.info("serving", host=settings.host, port=settings.port, model=context.model.alias, engine=settings.engine)
        await http.serve()
        _log.info("stopped")


def _served_model(settings: Settings) -> ServedModel:
    match settings.engine:
        case "scripted":
            digest = "scripted"
        case "external":
            digest = settings.model_digest
        case "managed":
            check_contract(_checkpoint(settings))
            digest = checkpoint_digest(_checkpoint(settings))
    return ServedModel(alias=settings.model_alias, digest=digest)


def _checkpoint(settings: Settings) -> Path:
    if settings.model is None or not (settings.model / "config.json").is_file():
        valid = "must be a checkpoint directory (with config.json); or set VQC_ENGINE_URL, or VQC_ENGINE=scripted to try out"
        raise InvalidValue("VQC_MODEL", None if settings.model is None else str(settings.model), valid)
    return settings.model


async def _engine(settings: Settings, model: ServedModel) -> Engine:
    """The engine that the settings name; a managed one begins to start and is waited for by readiness, not here."""
    match settings.engine:
        case "scripted":
            from engine.scripted import ScriptedEngine

            return ScriptedEngine()
        case "external":
            from engine.client import VllmClient

            assert settings.engine_url is not None  # the settings see to it
            return VllmClient(_endpoint(settings.engine_url), model.alias)
        case "managed":
            from engine.managed import ManagedEngine
            from engine.profile import EngineSettings

            engine = ManagedEngine(
                EngineSettings(
                    model=_checkpoint(settings),
                    served_name=model.alias,
                    profile=settings.engine_profile,
                    max_model_len=settings.max_model_len,
                    extra_args=settings.engine_args,
                ),
                log_path=settings.engine_log,
                warmup=[_grammar_warmup(grammar) for grammar in (CAPTION_GRAMMAR, SUMMARY_GRAMMAR)],
            )
            await engine.start()
            return engine


def _endpoint(url: str) -> str | Path:
    """A base URL, or the path of a Unix socket for ``unix:///path``."""
    return Path(url.removeprefix("unix://")) if url.startswith("unix://") else url


def _grammar_warmup(grammar: str) -> GenerateRequest:
    """One token under a grammar: the engine compiles it before it counts as ready, not for the first caller."""
    sampling = Sampling(max_tokens=1)
    return GenerateRequest(
        request_id="warmup", system="", user=("1",), sampling=sampling, grammar=grammar, timeout_s=120
    )
