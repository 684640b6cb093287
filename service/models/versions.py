"""Sources of the versions that are served: a registry, a directory, or an engine that the service does not run."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import override

from engine.adapter import is_adapter, read_adapter
from service.models.checkpoint import check_contract, checkpoint_digest, compare_contract
from service.models.deployment import Checkpoint
from service.models.roles import ServedModel
from service.models.swap import ModelSource
from service.platform.errors import NotSwappable
from vqc.errors import InvalidValue, VqcError
from vqc.missions import active, using

if TYPE_CHECKING:
    from registry import Registry

_T = TypeVar("_T")
LEASE_S = 3600.0
"""How long a version stays leased after the service has died without a release; renewed while it lives."""


class VersionUnavailable(VqcError):
    """The registry or the local copy of a version cannot be read or written."""


class RegistryVersions(ModelSource):
    """Versions of a registry, verified and materialised below ``cache``; each is leased while it is served.

    The inspections that are active when this is made are the operator's choice (``registry.inspections.inspections_with``).
    """

    def __init__(self, registry: Registry, cache: Path) -> None:
        self._registry = registry
        self._cache = cache
        self._chosen = active()

    @override
    async def resolve(self, ref: str) -> str:
        return await _off_loop(lambda: self._registry.resolve(ref))

    @override
    async def fetch(self, ref: str, digest: str, alias: str) -> Checkpoint:
        return await _off_loop(lambda: self._fetch(digest, alias))

    def _fetch(self, digest: str, alias: str) -> Checkpoint:
        from registry.inspections import inspections_with

        version, inspections = self._registry.version(digest), inspections_with(self._registry, digest, self._chosen)
        with ExitStack() as stack, using(inspections):
            if version.contract:  # before the weights are downloaded
                compare_contract(version.contract, digest)
            # Leased before it is materialised: garbage collection must not take files that are about to be served.
            stack.enter_context(self._registry.lease(digest, _holder(), LEASE_S))
            directory = self._registry.materialise(digest, self._cache)
            base = None
            if is_adapter(directory):
                read_adapter(directory)
                base = self._base(digest, version.base, stack)
            return Checkpoint(
                model=ServedModel(alias=alias, digest=digest, untrained=check_contract(directory)),
                directory=directory,
                base=base,
                inspections=inspections,
                release=stack.pop_all().close,
            )

    def _base(self, digest: str, base: str | None, stack: ExitStack) -> Path:
        if base is None:
            raise InvalidValue("VQC_MODEL", digest, "is an adapter that names no base version; push it with --base REF")
        stack.enter_context(self._registry.lease(base, _holder(), LEASE_S))
        return self._registry.materialise(base, self._cache)


class DirectoryVersion(ModelSource):
    """The checkpoint in one directory, with the files that it has when it is resolved.

    Its digest is computed from its bytes, an adapter's also from those of its base.
    """

    @override
    async def resolve(self, ref: str) -> str:
        """The digest of the files; reads them all."""
        directory, base = _directories(ref)
        return await _off_loop(lambda: checkpoint_digest(directory, base))

    @override
    async def fetch(self, ref: str, digest: str, alias: str) -> Checkpoint:
        directory, base = _directories(ref)
        model = ServedModel(alias=alias, digest=digest, untrained=check_contract(directory))
        return Checkpoint(model=model, directory=directory, base=base)


class FixedVersion(ModelSource):
    """A model that is never replaced: its engine is external, or scripted. There is no other version."""

    @override
    async def resolve(self, ref: str) -> str:
        """Raises ``NotSwappable``."""
        raise NotSwappable("this service does not run the model's engine (external) or has no model (scripted)")

    @override
    async def fetch(self, ref: str, digest: str, alias: str) -> Checkpoint:
        """Raises ``NotSwappable``."""
        raise NotSwappable("this service does not run the model's engine")


def _directories(ref: str) -> tuple[Path, Path | None]:
    """The checkpoint's directory and, for an adapter, its base's, with symbolic links resolved.

    A link may be changed while an engine runs on the directory that it named.
    """
    directory = Path(ref)
    if not (directory / "config.json").is_file() and not is_adapter(directory):
        valid = "must be a checkpoint directory (with config.json), or an alias together with VQC_REGISTRY; or set "
        raise InvalidValue("VQC_MODEL", ref, f"{valid}VQC_ENGINE_URL, or VQC_ENGINE=scripted to try out")
    if not is_adapter(directory):
        return directory.resolve(), None
    base = Path(read_adapter(directory).base)
    if not (base / "config.json").is_file():
        raise InvalidValue("base_model_name_or_path", str(base), "must be the directory of the adapter's base model")
    return directory.resolve(), base.resolve()


async def _off_loop(work: Callable[[], _T]) -> _T:
    """The result of ``work``, called on a thread. Raises ``VersionUnavailable`` for an ``OSError``."""

    def call() -> _T:
        try:
            return work()
        except OSError as error:
            raise VersionUnavailable(f"the model's files cannot be read or written: {error}") from error

    return await asyncio.to_thread(call)


def _holder() -> str:
    return f"vqc service on {socket.gethostname()}"
