"""The registry: what can be done with versions, whichever store holds them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from registry import version as versions
from registry.attachments import attach, attached
from registry.cache import assemble, materialised
from registry.checkpoint import merged_facts, read_checkpoint
from registry.errors import NotACheckpoint, UnknownVersion
from registry.log import check_log, new_entry, rollback_targets
from registry.names import GUIDANCE_ALIAS, check_alias, is_digest, is_short_digest
from registry.oci import GUIDANCE_TYPE, MANIFEST_TYPE, MODEL_CONFIG_TYPE, MODEL_TYPE, Descriptor, Manifest, described
from registry.store import Store
from registry.streams import each, reporting, silent
from registry.values import ANY, AuditEntry, Collected, Expected, Lease, Progress, Referrer, VersionFacts
from registry.version import Version, parsed
from vqc.errors import InvalidValue


class Registry:
    """Versions, aliases and what is attached, over one store. Every method may be called from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def where(self) -> str:
        """Its directory or address."""
        return self._store.where

    @property
    def store(self) -> Store:
        """Where the bytes are; for what is kept beside models (``registry.guidance``)."""
        return self._store

    def push(
        self,
        directory: str | Path,
        *,
        alias: str | None = None,
        base: str | None = None,
        facts: VersionFacts | None = None,
        progress: Progress | None = None,
        actor: str | None = None,
    ) -> Version:
        """The version that ``directory`` (a Hugging Face model or a peft adapter) now is; the same again if it was there.

        ``base`` is the version it builds on; an adapter needs one. ``facts`` go over what the directory itself says.

        Raises:
            NotACheckpoint: what the directory lacks, or an adapter without ``base``.
            UnknownVersion: ``base`` is not in this registry.
            StorageFull, RegistryUnavailable: nothing of it is visible; a second push goes on where this one stopped.
        """
        checkpoint = read_checkpoint(Path(directory))
        if alias is not None:
            check_alias(alias, guidance=False)
        if checkpoint.kind == "adapter" and base is None:
            named = checkpoint.facts.base_model or "its base model"
            raise NotACheckpoint(directory, f"it is an adapter: push {named!r} first and name that version with --base")
        base = self.resolve(base) if base is not None else None
        said = merged_facts(checkpoint.facts, facts)

        def take(name: str) -> Descriptor:
            path = checkpoint.directory / name
            on_bytes = reporting(progress, name, path.stat().st_size)
            return versions.layer(name, self._store.add_file(path, versions.media_type(name), on_bytes))

        with self._store.adding():
            layers = each(take, checkpoint.files)
            config = self._store.add_bytes(versions.model_config(checkpoint, layers, said), MODEL_CONFIG_TYPE)
            content = versions.manifest(checkpoint, config, layers, said, base).to_bytes()
            blob = described(content, MANIFEST_TYPE, artifactType=MODEL_TYPE)
            new = self._store.manifest(blob.digest) is None
            if new:
                self._store.add_manifest(content, blob)
                self._store.record(new_entry("push", after=blob.digest, actor=actor, reason=f"push of {directory}"))
            if alias is not None and self._store.aliases().get(alias) != blob.digest:
                self.move(alias, blob.digest, expected=ANY, actor=actor, reason=f"push of {directory}")
        return Version.parse(blob.digest, content)

    def resolve(self, ref: str) -> str:
        """The digest behind an alias, a digest or the unique beginning of one (``sha256:`` and 7 digits or more).

        Raises:
            UnknownVersion: nothing has that name; the nearest aliases are named.
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
        """The version behind a reference; its manifest's bytes are checked.

        Raises:
            UnknownVersion, Corrupt.
        """
        digest = self.resolve(ref)
        content = self._store.manifest(digest)
        if content is None:
            raise UnknownVersion(ref, self._store.aliases(), self.where)
        return Version.parse(digest, content)

    def versions(self) -> list[Version]:
        """Every model version, oldest first where the store knows."""
        kept = [(digest, self._manifest(digest)) for digest in self._store.versions()]
        return [Version(digest=digest, manifest=manifest) for digest, manifest in kept if manifest.is_model]

    def aliases(self) -> dict[str, str]:
        """Alias → digest, of models."""
        return {
            alias: digest for alias, digest in self._store.aliases().items() if not alias.startswith(GUIDANCE_ALIAS)
        }

    def verify(self, ref: str, progress: Progress | None = None) -> None:
        """Reads every byte of a version and of the base it builds on.

        An alias is also held against the log: one that somebody moved behind the registry's back is not what was released.

        Raises:
            Corrupt: the first file that is missing, cut or changed, with expected and found digest.
        """
        version = self.version(ref)
        if ref != version.digest:
            check_log(self._store.audit(), ref, version.digest, ordered=self._store.ordered_log)
        self._store.check(version.manifest.config, silent)

        def check(file: Descriptor) -> None:
            self._store.check(file, reporting(progress, file.title, file.size))

        with self._store.reading():
            each(check, version.files)
        if version.base is not None:
            self.verify(version.base, progress)

    def materialise(self, ref: str, cache: str | Path, progress: Progress | None = None) -> Path:
        """The verified directory ``cache/versions/sha256-…`` of a version; vLLM can open it. Read-only by custom.

        Weights are hard links where the file system allows, small files are copies. It appears at once when every byte was
        checked; an existing one is checked again. Several processes may ask at the same time.

        Raises:
            UnknownVersion, Corrupt, StorageFull, RegistryUnavailable.
        """
        with self._store.reading():
            return materialised(self._store, self.version(ref), Path(cache), progress)

    def pull(self, ref: str, out: str | Path, progress: Progress | None = None) -> Path:
        """``out``, now a verified directory of the version. Appears at once; an interrupted pull goes on where it stopped.

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
        """Points ``alias`` at ``to`` if it is at ``expected`` (a digest, None for no such alias, or ``ANY``), and logs it.

        ``to=None`` removes the alias.

        Raises:
            AliasMoved: somebody moved it first.
            UnknownVersion, InvalidValue: no such version; no name for an alias.
        """
        target = self.resolve(to) if to is not None else None
        is_guidance = (
            alias.startswith(GUIDANCE_ALIAS) if target is None else self._manifest(target).kind == GUIDANCE_TYPE
        )
        check_alias(alias, guidance=is_guidance)
        entry = new_entry("move", alias=alias, after=target, actor=actor, reason=reason)
        blob = self._described(target) if target is not None else None
        return self._store.move(alias, blob, expected, entry)

    def audit(self) -> list[AuditEntry]:
        """Everything that was done, oldest first."""
        return self._store.audit()

    def attach(self, ref: str, artifact_type: str, content: bytes | dict[str, object]) -> str:
        """The digest of a new referrer of a version, with ``content`` (a dict becomes JSON) and the time of now.

        Raises:
            InvalidValue: ``artifact_type`` is no media type.
        """
        return attach(self._store, self._described(self.resolve(ref)), artifact_type, content)

    def referrers(self, ref: str, artifact_type: str | None = None) -> list[Referrer]:
        """What is attached to a version (of that type), oldest first, contents read and checked."""
        return attached(self._store, self.resolve(ref), artifact_type)

    def lease(self, digest: str, holder: str, ttl_s: float = 60.0) -> AbstractContextManager[Lease]:
        """Holds a version while the block runs; ends ``ttl_s`` seconds after the holder's process is gone."""
        return self._store.lease(self.resolve(digest), holder, ttl_s)

    def gc(self, dry_run: bool = False, *, older_than_s: float = 0.0, actor: str | None = None) -> Collected:
        """Removes versions older than ``older_than_s`` seconds that nothing holds, and blobs that no version has.

        Held are: every alias's version and the one it had before (rollback), leased ones, the bases of held ones, and what
        is attached to a held one.

        Raises:
            RegistryBusy: a push or pull is under way.
            Corrupt: a version cannot be read, so that what it holds is not known; nothing was removed.
            Unsupported: a remote registry collects by its own rules.
        """
        removed = self._store.collect(rollback_targets(self._store.audit()), older_than_s, dry_run)
        if removed.versions and not dry_run:
            for digest in removed.versions:
                self._store.record(new_entry("collect", before=digest, actor=actor, reason="nothing held it"))
        return removed

    def _described(self, digest: str) -> Descriptor:
        return described(self._bytes(digest), MANIFEST_TYPE, artifactType=self._manifest(digest).kind)

    def _manifest(self, digest: str) -> Manifest:
        """The manifest of a model or of guidance. Raises ``UnknownVersion``, ``Corrupt``."""
        content = self._bytes(digest)
        manifest = parsed(digest, content)
        return manifest if manifest.kind == GUIDANCE_TYPE else Version.parse(digest, content).manifest

    def _bytes(self, digest: str) -> bytes:
        content = self._store.manifest(digest)
        if content is None:
            raise UnknownVersion(digest, self._store.aliases(), self.where)
        return content
