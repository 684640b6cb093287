"""Wires what serves models: the source of versions, the start of engines, the router and its swaps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.adapter import read_adapter
from engine.profile import EngineSettings
from engine.protocol import DecodingParams, Engine, GenerateRequest
from service.models.capacity import fits
from service.models.deployment import Checkpoint, Deployment
from service.models.exchange import Exchange
from service.models.observe import ModelObserver
from service.models.response_cache import ResponseCache, ResponseStore
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.models.swap import ModelSource, ServedRole, SwapModels
from service.models.versions import DirectoryVersion, FixedVersion, RegistryVersions
from service.platform.settings import Settings
from service.platform.shares import Role, parse_share
from service.platform.tracing import collector
from service.platform.version import VERSION
from vqc.errors import InvalidValue
from vqc.grammar import CAPTION_GRAMMAR, summary_grammar
from vqc.missions import active, using

if TYPE_CHECKING:
    from service.models.registry_catalogue import RegistryCatalogue


async def served_models(
    settings: Settings, observer: ModelObserver, store: ResponseStore | None = None
) -> tuple[ModelRouter, SwapModels]:
    """The router with its main model active and the engine starting. Close with ``SwapModels.aclose``.

    ``store`` turns the response cache on.

    Raises:
        InvalidValue: a setting that cannot work, such as a directory without a checkpoint or an unknown alias.
        VqcError: the version cannot be fetched.
    """
    canary = parse_share("VQC_CANARY", settings.canary) if settings.canary else None
    shadow = parse_share("VQC_SHADOW", settings.shadow) if settings.shadow else None
    ours = settings.engine != "external"
    cache = ResponseCache(store, observer, served_as=_served_as(settings), trusts_engine=ours) if store else None
    router = ModelRouter(observer, canary=canary, shadow=shadow, wait_s=settings.swap_wait_s, responses=cache)
    source = _source(settings)
    served = [ServedRole(role=Role.MAIN, alias=_main_alias(settings, source), ref=settings.model or "")]
    served += [ServedRole(role=Role.CANARY, alias=canary.alias, ref=canary.alias)] if canary else []
    served += [ServedRole(role=Role.SHADOW, alias=shadow.alias, ref=shadow.alias)] if shadow else []
    launcher = _Launcher(settings)

    async def fits_beside(checkpoint: Checkpoint) -> bool:
        if settings.swap == "auto" and settings.engine == "managed":
            return await fits(launcher.engine_settings(checkpoint), checkpoint)
        return settings.swap != "drain"

    exchange = Exchange(router, launcher, drain_s=settings.swap_drain_s)
    swaps = SwapModels(router, served, source, exchange, observer, fits=fits_beside)
    if isinstance(source, FixedVersion):
        model = ServedModel(alias=settings.model_alias, digest=_fixed_digest(settings))
        router.activate(Role.MAIN, Deployment(_engine_without_files(settings), model))
    else:
        await swaps.launch_main()
    if isinstance(source, RegistryVersions):
        swaps.follow(settings.registry_poll_s)
    return router, swaps


def model_catalogue(settings: Settings) -> RegistryCatalogue | None:
    """The registry as the console shows it; None if the settings name none."""
    if settings.registry is None:
        return None
    from registry import open_registry
    from service.models.registry_catalogue import RegistryCatalogue

    return RegistryCatalogue(open_registry(settings.registry), settings.registry_policy, settings.model_cache)


def _served_as(settings: Settings) -> str:
    """What besides a model's digest may change its answers: it is part of the key of cached answers."""
    return repr((VERSION, settings.engine, settings.engine_quantization, settings.engine_args))


def _source(settings: Settings) -> ModelSource:
    from_registry = settings.registry is not None and settings.model is not None and "/" not in settings.model
    if settings.engine == "external":
        return FixedVersion()
    if from_registry:
        from registry import open_registry

        return RegistryVersions(open_registry(str(settings.registry)), settings.model_cache)
    if settings.engine == "scripted":
        return FixedVersion()
    if settings.model is None:
        valid = "must be a checkpoint directory, or an alias together with VQC_REGISTRY; or set VQC_ENGINE_URL, or "
        raise InvalidValue("VQC_MODEL", None, f"{valid}VQC_ENGINE=scripted to try it out")
    return DirectoryVersion()


def _fixed_digest(settings: Settings) -> str:
    return settings.model_digest if settings.engine == "external" else "scripted"


def _main_alias(settings: Settings, source: ModelSource) -> str:
    """The main model's name in responses: its alias in the registry, else the one of the settings."""
    if isinstance(source, RegistryVersions) and settings.model and not settings.model.startswith("sha256:"):
        return settings.model
    return settings.model_alias


def _engine_without_files(settings: Settings) -> Engine:
    if settings.engine == "scripted":
        from engine.scripted import ScriptedEngine

        return ScriptedEngine()
    from engine.client import VllmClient

    assert settings.engine_url is not None  # checked by the settings
    return VllmClient(_endpoint(settings.engine_url), settings.model_alias)


class _Launcher:
    """Starts engines. The first one writes the log file that the settings name, a later one a file beside it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._launched = False

    def engine_settings(self, checkpoint: Checkpoint) -> EngineSettings:
        """The settings of an engine on a version."""
        plain = EngineSettings(
            model=checkpoint.directory,
            served_name=checkpoint.model.alias,
            profile=self._settings.engine_profile,
            max_model_len=self._settings.max_model_len,
            gpu_memory_utilization=self._settings.gpu_memory_utilization,
            traces=collector(self._settings.traces),
            quantization=self._settings.engine_quantization,
            drafts=self._settings.engine_drafts,
            extra_args=self._settings.engine_args,
        )
        if checkpoint.base is None:
            return plain
        return replace(plain, model=checkpoint.base, adapter=read_adapter(checkpoint.directory))

    async def __call__(self, checkpoint: Checkpoint) -> Engine:
        """An engine that has begun to start."""
        if self._settings.engine == "scripted":
            from engine.scripted import ScriptedEngine

            return ScriptedEngine()
        from engine.managed import ManagedEngine

        with using(checkpoint.inspections):
            grammars = [CAPTION_GRAMMAR, *_line_grammars()]
        log = self._settings.engine_log
        if self._launched:
            digest = checkpoint.model.digest.removeprefix("sha256:")
            log = log.with_stem(f"{log.stem}-{digest[:12]}")
        self._launched = True
        engine = ManagedEngine(
            self.engine_settings(checkpoint),
            log_path=log,
            warmup=[_grammar_warmup(grammar) for grammar in grammars],
        )
        await engine.start()
        return engine


def _line_grammars() -> list[str]:
    """The grammar of Stage-A lines in each active inspection's words, without repeating one."""
    return [*dict.fromkeys(summary_grammar(one.words) for one in active().inspections)]


def _endpoint(url: str) -> str | Path:
    """A base URL, or the path of a Unix socket for ``unix:///path``."""
    return Path(url.removeprefix("unix://")) if url.startswith("unix://") else url


def _grammar_warmup(grammar: str) -> GenerateRequest:
    """One token under a grammar: the engine compiles the grammar before it is ready, not during the first request."""
    return GenerateRequest(
        request_id="warmup",
        system="",
        user=("1",),
        decoding=DecodingParams(max_new_tokens=1),
        grammar=grammar,
        timeout_s=120,
    )
