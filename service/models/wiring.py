"""Puts together what serves models: where versions come from, how engines are started, what is in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.adapter import read_adapter
from engine.profile import EngineSettings
from engine.protocol import DecodingParams, Engine, GenerateRequest
from service.models.answer_cache import AnswerStore, Repeats
from service.models.capacity import has_room
from service.models.catalogue import ModelCatalogue
from service.models.exchange import Exchange
from service.models.observe import Observer
from service.models.roles import ServedModel
from service.models.router import Checkpoint, Deployment, ModelRouter
from service.models.swap import ModelSource, Served, SwapModels
from service.models.versions import DirectoryVersion, FixedVersion, RegistryVersions
from service.platform.settings import Settings
from service.platform.shares import Role, parse_share
from service.platform.tracing import collector
from service.platform.version import VERSION
from vqc.errors import InvalidValue
from vqc.grammar import CAPTION_GRAMMAR, SUMMARY_GRAMMAR


async def served_models(
    settings: Settings, observer: Observer, answers: AnswerStore | None = None
) -> tuple[ModelRouter, SwapModels]:
    """The main model in force, its engine starting or answering. Close with ``SwapModels.aclose``.

    With ``answers`` what was answered before is answered from there.

    Raises:
        InvalidValue: a setting that cannot work, such as a directory without a checkpoint or an unknown alias.
        VqcError: the version cannot be had.
    """
    canary = parse_share("VQC_CANARY", settings.canary) if settings.canary else None
    shadow = parse_share("VQC_SHADOW", settings.shadow) if settings.shadow else None
    ours = settings.engine != "external"
    repeats = Repeats(answers, observer, served_as=_served_as(settings), trusting=ours) if answers else None
    router = ModelRouter(observer, canary=canary, shadow=shadow, wait_s=settings.swap_wait_s, repeats=repeats)
    source = _source(settings)
    served = [Served(role=Role.MAIN, alias=_main_alias(settings, source), ref=settings.model or "")]
    served += [Served(role=Role.CANARY, alias=canary.alias, ref=canary.alias)] if canary else []
    served += [Served(role=Role.SHADOW, alias=shadow.alias, ref=shadow.alias)] if shadow else []
    launcher = _Launcher(settings)

    async def beside(checkpoint: Checkpoint) -> bool:
        if settings.swap == "auto" and settings.engine == "managed":
            return await has_room(launcher.engine_settings(checkpoint), checkpoint)
        return settings.swap != "drain"

    exchange = Exchange(router, launcher, drain_s=settings.swap_drain_s)
    swaps = SwapModels(router, served, source, exchange, observer, has_room=beside)
    if isinstance(source, FixedVersion):
        model = ServedModel(alias=settings.model_alias, digest=_fixed_digest(settings))
        router.put_in_force(Role.MAIN, Deployment(_engine_without_files(settings), model))
    else:
        await swaps.start()
    if isinstance(source, RegistryVersions):
        swaps.follow(settings.registry_poll_s)
    return router, swaps


def model_catalogue(settings: Settings) -> ModelCatalogue | None:
    """The registry as the console shows it; None where the settings name none."""
    if settings.registry is None:
        return None
    from registry import open_registry
    from service.models.registry_catalogue import RegistryCatalogue

    return RegistryCatalogue(open_registry(settings.registry), settings.registry_policy, settings.model_cache)


def _served_as(settings: Settings) -> str:
    """What beside a model's digest may change its answers: another one of these starts without kept answers."""
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
        raise InvalidValue("VQC_MODEL", None, f"{valid}VQC_ENGINE=scripted to try out")
    return DirectoryVersion()


def _fixed_digest(settings: Settings) -> str:
    return settings.model_digest if settings.engine == "external" else "scripted"


def _main_alias(settings: Settings, source: ModelSource) -> str:
    """What answers call the main model: its alias in the registry, else the name that the settings give."""
    if isinstance(source, RegistryVersions) and settings.model and not settings.model.startswith("sha256:"):
        return settings.model
    return settings.model_alias


def _engine_without_files(settings: Settings) -> Engine:
    if settings.engine == "scripted":
        from engine.scripted import ScriptedEngine

        return ScriptedEngine()
    from engine.client import VllmClient

    assert settings.engine_url is not None  # the settings see to it
    return VllmClient(_endpoint(settings.engine_url), settings.model_alias)


class _Launcher:
    """Begins to start engines. The first one writes the log that the settings name, later ones beside it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._launched = False

    def engine_settings(self, checkpoint: Checkpoint) -> EngineSettings:
        """What an engine on a version is told."""
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

        log = self._settings.engine_log
        if self._launched:
            digest = checkpoint.model.digest.removeprefix("sha256:")
            log = log.with_stem(f"{log.stem}-{digest[:12]}")
        self._launched = True
        engine = ManagedEngine(
            self.engine_settings(checkpoint),
            log_path=log,
            warmup=[_grammar_warmup(grammar) for grammar in (CAPTION_GRAMMAR, SUMMARY_GRAMMAR)],
        )
        await engine.start()
        return engine


def _endpoint(url: str) -> str | Path:
    """A base URL, or the path of a Unix socket for ``unix:///path``."""
    return Path(url.removeprefix("unix://")) if url.startswith("unix://") else url


def _grammar_warmup(grammar: str) -> GenerateRequest:
    """One token under a grammar: the engine compiles it before it counts as ready, not for the first caller."""
    return GenerateRequest(
        request_id="warmup",
        system="",
        user=("1",),
        decoding=DecodingParams(max_new_tokens=1),
        grammar=grammar,
        timeout_s=120,
    )
