"""The registry: operations on versions, independent of the store that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from registry import version as versions
from registry.attachments import attach, read_referrers
from registry.audit_log import check_log, new_entry, rollback_targets
from registry.cache import assemble, materialise
from registry.checkpoint import merged_facts, read_checkpoint
from registry.errors import NotACheckpoint, UnknownVersion
from registry.names import check_alias, is_digest, is_short_digest, kind_of_alias
from registry.oci import (
    GUIDANCE_TYPE,
    INSPECTION_TYPE,
    MANIFEST_TYPE,
    MAX_MANIFEST,
    MODEL_CONFIG_TYPE,
    MODEL_TYPE,
    Descriptor,
    Manifest,
    descriptor_of,
)
from registry.store import Store
from registry.streams import file_progress, ignore_progress, map_in_threads
from registry.values import ANY, AuditEntry, Collected, Expected, Lease, Progress, Referrer, VersionFacts
from registry.version import Version, parse_manifest
from vqc.errors import InvalidValue


class Registry:
    """Versions, aliases and attachments over one store. All methods are thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def where(self) -> str:
        """The registry's directory or address."""
        return self._store.where

    @property
    def store(self) -> Store:
        """The underlying store, for artifacts that are not models (``registry.guidance``)."""
        return self._store

    def push(
        self,
        directory: str | Path,
        *,
        alias: str | None = None,
        base: str | None = None,
        facts: VersionFacts | None = None,
        inspections: Sequence[str] = (),
        progress: Progress | None = None,
        actor: str | None = None,
    ) -> Version:
        """Stores ``directory`` (a Hugging Face model or a peft adapter) as a version; identical content gives the same version.

        ``base`` is the version it builds on; an adapter requires one. ``facts`` override what the directory itself declares.
        ``inspections`` are the digests of those that it is served with (``registry.inspections``).

        Raises:
            NotACheckpoint: the directory is incomplete, or an adapter was pushed without ``base``.
            UnknownVersion: ``base``, or one of the inspections, is not in this registry.
            StorageFull, RegistryUnavailable: nothing became visible; pushing again resumes.
        """
        checkpoint = read_checkpoint(Path(directory))
        if alias is not None:
            check_alias(alias, MODEL_TYPE)
        if checkpoint.kind == "adapter" and base is None:
            needed = checkpoint.facts.base_model or "its base model"
            raise NotACheckpoint(directory, f"it is an adapter: push {needed!r} first and pass that version as --base")
        base = self._base(base, checkpoint.kind) if base is not None else None
        inspections = [self.resolve(digest) for digest in inspections]
        all_facts = merged_facts(checkpoint.facts, facts)

        def add_layer(name: str) -> Descriptor:
            path = checkpoint.directory / name
            on_bytes = file_progress(progress, name, path.stat().st_size)
            return versions.layer(name, self._store.add_file(path, versions.media_type(name), on_bytes))

        with self._store.adding():
            layers = map_in_threads(add_layer, checkpoint.files)
            config = self._store.add_bytes(versions.model_config(checkpoint, layers, all_facts), MODEL_CONFIG_TYPE)
            content = versions.manifest(checkpoint, config, layers, all_facts, base, inspections).to_bytes()
            if len(content) > MAX_MANIFEST:
                raise NotACheckpoint(directory, f"its facts are too long: a manifest of {len(content):,} bytes")
            blob = descriptor_of(content, MANIFEST_TYPE, artifactType=MODEL_TYPE)
            entry = new_entry("push", after=blob.digest, actor=actor, reason=f"push of {directory}")
            self._store.add_manifest(content, blob, entry=entry)
            if alias is not None and self._store.aliases().get(alias) != blob.digest:
                self.move(alias, blob.digest, expected=ANY, actor=actor, reason=f"push of {directory}")
        return Version.parse(blob.digest, content)

    def resolve(self, ref: str) -> str:
        """The digest of an alias, a digest, or a unique digest prefix (``sha256:`` and at least 7 digits).

        Raises:
            UnknownVersion: no version matches; the message lists the nearest aliases.
        """
        aliases = self._store.aliases()
        if ref in aliases:
            return aliases[ref]
        if is_digest(ref) and self._store.manifest(ref) is not None:
            return ref
        if is_short_digest(ref):
            found = [digest for digest in self._store.versions() if digest.startswith(ref)]
            if len(found) == 1:
                return found[0]
        raise UnknownVersion(ref, aliases, self.where)

    def version(self, ref: str) -> Version:
        """The version that a reference names; its manifest is verified.

        Raises:
            UnknownVersion, Corrupt.
        """
        digest = self.resolve(ref)
        content = self._store.manifest(digest)
        if content is None:
            raise UnknownVersion(ref, self._store.aliases(), self.where)
        return Version.parse(digest, content)

    def versions(self) -> list[Version]:
        """All model versions, oldest first if the store knows their order."""
        stored = [(digest, self._manifest(digest)) for digest in self._store.versions()]
        return [Version(digest=digest, manifest=manifest) for digest, manifest in stored if manifest.is_model]

    def aliases(self) -> dict[str, str]:
        """Maps each model alias to a digest."""
        return {alias: digest for alias, digest in self._store.aliases().items() if kind_of_alias(alias) == MODEL_TYPE}

    def verify(self, ref: str, progress: Progress | None = None) -> None:
        """Reads every byte of a version and of the versions that it builds on.

        An alias is also compared with the log, which reveals an alias that was moved without the registry.

        Raises:
            Corrupt: the first file that is missing, truncated or changed, with the expected and the actual digest.
        """
        version = self.version(ref)
        if ref != version.digest:
            check_log(self._store.audit(), ref, version.digest, ordered=self._store.ordered_log)

        def check(file: Descriptor) -> None:
            self._store.check(file, file_progress(progress, file.title, file.size))

        with self._store.reading():
            while True:
                self._store.check(version.manifest.config, ignore_progress)
                map_in_threads(check, version.files)
                if version.base is None:
                    return
                version = self.version(version.base)

    def materialise(self, ref: str, cache: str | Path, progress: Progress | None = None) -> Path:
        """Returns the verified directory ``cache/versions/sha256-…`` of a version, for vLLM. Treat it as read-only.

        Weights are hard links where the file system allows it; small files are copies. The directory appears atomically after
        every byte was verified; an existing one is verified again. Concurrent processes may call this.

        Raises:
            UnknownVersion, Corrupt, StorageFull, RegistryUnavailable.
        """
        with self._store.reading():
            return materialise(self._store, self.version(ref), Path(cache), progress)

    def pull(self, ref: str, out: str | Path, progress: Progress | None = None) -> Path:
        """Creates ``out`` as a verified directory of the version. It appears atomically; an interrupted pull can be resumed.

        Raises:
            InvalidValue: ``out`` exists and is not empty.
            UnknownVersion, Corrupt, StorageFull, RegistryUnavailable.
        """
        out = Path(out)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InvalidValue("out", str(out), "name a directory that does not exist, or is empty")
        with self._store.reading():
            version = self.version(ref)
            work = out.parent / f".{out.name}.{version.digest[7:19]}.partial"
            return assemble(self._store, version, out, work, progress)

    def move(
        self,
        alias: str,
        to: str | None,
        *,
        expected: Expected,
        actor: str | None = None,
        reason: str = "",
    ) -> AuditEntry:
        """Points ``alias`` at ``to`` and logs it, if the alias now points at ``expected``.

        ``expected`` is a digest, None for a new alias, or ``ANY``. ``to=None`` removes the alias.

        Raises:
            AliasMoved: another process moved it first.
            UnknownVersion, InvalidValue: no such version; not a valid alias.
        """
        target = self.resolve(to) if to is not None else None
        manifest = self._manifest(target) if target is not None else None
        kind = kind_of_alias(alias) if manifest is None else MODEL_TYPE if manifest.is_model else manifest.kind
        check_alias(alias, kind)
        entry = new_entry("move", alias=alias, after=target, actor=actor, reason=reason)
        blob = self._descriptor(target) if target is not None else None
        return self._store.move(alias, blob, expected, entry)

    def audit(self) -> list[AuditEntry]:
        """All log entries, oldest first."""
        return self._store.audit()

    def attach(self, ref: str, artifact_type: str, content: bytes | dict[str, object]) -> str:
        """Attaches ``content`` (a dict is stored as JSON) to a version, with the current time; returns the attachment's digest.

        Raises:
            InvalidValue: ``artifact_type`` is not a media type.
        """
        return attach(self._store, self._descriptor(self.resolve(ref)), artifact_type, content)

    def referrers(self, ref: str, artifact_type: str | None = None) -> list[Referrer]:
        """The artifacts attached to a version (all types if None), oldest first; contents are read and verified."""
        return read_referrers(self._store, self.resolve(ref), artifact_type)

    def lease(self, digest: str, holder: str, ttl_s: float = 60.0) -> AbstractContextManager[Lease]:
        """Protects a version from garbage collection while the block runs; expires ``ttl_s`` seconds after the holder dies."""
        return self._store.lease(self.resolve(digest), holder, ttl_s)

    def gc(self, dry_run: bool = False, *, older_than_s: float = 0.0, actor: str | None = None) -> Collected:
        """Removes unreferenced versions older than ``older_than_s`` seconds, and blobs that belong to no version.

        A version is referenced if an alias names it or named it before its last move (rollback), if it is leased, or if it is
        the base of, or attached to, a referenced version.

        Raises:
            RegistryBusy: a push or pull is running.
            Corrupt: a version cannot be read, so its references are unknown; nothing was removed.
            Unsupported: a remote registry has its own garbage collection.
        """

        def entry_of(digest: str) -> AuditEntry:
            return new_entry("collect", before=digest, actor=actor, reason="unreferenced")

        return self._store.collect(rollback_targets(self._store.audit()), older_than_s, dry_run, entry_of)

    def _base(self, ref: str, kind: str) -> str:
        """The digest of the model that an adapter or model builds on. Raises ``InvalidValue``, ``UnknownVersion``."""
        digest = self.resolve(ref)
        manifest = self._manifest(digest)
        if not manifest.is_model:
            raise InvalidValue("base", ref, "must be a model")
        if kind == "adapter" and Version(digest=digest, manifest=manifest).kind == "adapter":
            raise InvalidValue(
                "base", ref, "must be a model: an engine serves an adapter on a model, not on an adapter"
            )
        return digest

    def _descriptor(self, digest: str) -> Descriptor:
        return descriptor_of(self._bytes(digest), MANIFEST_TYPE, artifactType=self._manifest(digest).kind)

    def _manifest(self, digest: str) -> Manifest:
        """The manifest of a model, of guidance or of an inspection. Raises ``UnknownVersion``, ``Corrupt``."""
        content = self._bytes(digest)
        manifest = parse_manifest(digest, content)
        return (
            manifest if manifest.kind in (GUIDANCE_TYPE, INSPECTION_TYPE) else Version.parse(digest, content).manifest
        )

    def _bytes(self, digest: str) -> bytes:
        content = self._store.manifest(digest)
        if content is None:
            raise UnknownVersion(digest, self._store.aliases(), self.where)
        return content
