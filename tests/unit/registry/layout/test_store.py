"""What only a layout in a directory has: its files, its index, its collection. The common laws are in tests/contract."""

from __future__ import annotations

import json
from pathlib import Path
from time import sleep, time

import pytest

from registry import ANY, AliasMoved, Corrupt, Registry, UnknownVersion, open_registry
from registry.errors import RegistryBusy
from tests.support.registry_models import write_adapter, write_model
from vqc.errors import InvalidValue


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def registry(root: Path) -> Registry:
    return open_registry(root)


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [write_model(tmp_path / f"model{seed}", seed=seed) for seed in range(4)]


def edit_index(root: Path, edit) -> None:
    document = json.loads((root / "index.json").read_text())
    edit(document)
    (root / "index.json").write_text(json.dumps(document))


def blobs(root: Path) -> set[str]:
    return {path.name for path in (root / "blobs/sha256").iterdir()}


def test_the_directory_is_an_oci_image_layout(registry: Registry, root: Path, models: list[Path]) -> None:
    digest = registry.push(models[0], alias="v1").digest
    assert json.loads((root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((root / "index.json").read_text())
    names = [entry["annotations"].get("org.opencontainers.image.ref.name") for entry in index["manifests"]]
    assert [entry["digest"] for entry in index["manifests"]] == [digest, digest]
    assert names == [None, "v1"]
    assert {entry["artifactType"] for entry in index["manifests"]} == {"application/vnd.cncf.model.manifest.v1+json"}
    assert all(path.stat().st_mode & 0o222 == 0 for path in (root / "blobs/sha256").iterdir())
    assert list((root / "vqc/partial").iterdir()) == []


def test_somebody_elses_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    with pytest.raises(InvalidValue, match="OCI image layout"):
        open_registry(tmp_path / "photos")


def test_looking_makes_no_directory(registry: Registry, root: Path) -> None:
    assert registry.versions() == []
    with pytest.raises(UnknownVersion):
        registry.materialise("champion", root / "cache")
    assert registry.gc().versions == ()
    assert not root.exists()


def test_a_digest_in_the_index_that_nothing_has(registry: Registry, root: Path, models: list[Path]) -> None:
    registry.push(models[0], alias="v1")
    wrong = "sha256:" + "0" * 64
    edit_index(root, lambda document: document["manifests"][1].update(digest=wrong))
    for use in (registry.version, registry.verify):
        with pytest.raises(Corrupt) as caught:
            use("v1")
        assert (caught.value.expected, caught.value.found) == (wrong, "no file")


def test_an_alias_that_was_moved_behind_the_registrys_back(registry: Registry, root: Path, models: list[Path]) -> None:
    first = registry.push(models[0], alias="champion")
    second = registry.push(models[1])
    registry.verify("champion")
    edit_index(
        root,
        lambda document: [
            entry.update(digest=second.digest, size=len(second.manifest.to_bytes()))
            for entry in document["manifests"]
            if "org.opencontainers.image.ref.name" in entry["annotations"]
        ],
    )
    with pytest.raises(Corrupt) as caught:
        registry.verify("champion")
    assert first.digest in caught.value.expected
    assert caught.value.found == second.digest


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"manifests": [{"digest": "x"}]}'])
def test_an_index_that_cannot_be_read_is_named(
    registry: Registry, root: Path, models: list[Path], content: bytes
) -> None:
    registry.push(models[0], alias="v1")
    (root / "index.json").write_bytes(content)
    with pytest.raises(Corrupt, match=r"index\.json: expected an OCI index"):
        registry.resolve("v1")


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: bytes([content[0] ^ 1]) + content[1:]])
def test_pushing_again_mends_damaged_blobs(registry: Registry, root: Path, models: list[Path], damage) -> None:
    version = registry.push(models[0], alias="v1")
    for digest in (version.files[0].digest, version.files[2].digest, version.manifest.config.digest):
        blob = root / "blobs/sha256" / digest[7:]
        blob.chmod(0o644)
        blob.write_bytes(damage(blob.read_bytes()))
    with pytest.raises(Corrupt):
        registry.verify("v1")
    registry.push(models[0])
    registry.verify("v1")


def test_weights_are_links_and_the_rest_are_copies(
    registry: Registry, root: Path, models: list[Path], tmp_path: Path
) -> None:
    version = registry.push(models[0], alias="v1")
    directory = registry.materialise("v1", tmp_path / "cache")
    for file in version.files:
        linked = (directory / file.title).samefile(root / "blobs/sha256" / file.digest[7:])
        assert linked is file.title.endswith(".safetensors")


def test_an_alias_can_be_removed(registry: Registry, models: list[Path]) -> None:
    digest = registry.push(models[0], alias="v1").digest
    with pytest.raises(AliasMoved):
        registry.move("v1", None, expected=None)
    registry.move("v1", None, expected=digest)
    assert registry.aliases() == {}
    assert [version.digest for version in registry.versions()] == [digest]


def test_what_was_never_committed_is_not_in_the_log(registry: Registry, root: Path, models: list[Path]) -> None:
    registry.push(models[0], alias="v1")
    log = root / "vqc/audit.jsonl"
    before = registry.audit()
    with log.open("ab") as file:
        file.write(b'{"at": "2026", "action": "mo')
    assert registry.audit() == before
    registry.push(models[1], alias="v1")
    assert registry.audit()[: len(before)] == before
    assert [entry.action for entry in registry.audit()] == ["push", "move", "push", "move"]


def test_a_log_that_was_cut_is_named(registry: Registry, root: Path, models: list[Path]) -> None:
    registry.push(models[0], alias="v1")
    log = root / "vqc/audit.jsonl"
    log.write_bytes(log.read_bytes()[:-1])
    with pytest.raises(Corrupt, match="audit.jsonl"):
        registry.audit()


def test_collection_keeps_what_is_held_and_nothing_else(
    registry: Registry, root: Path, models: list[Path], tmp_path: Path
) -> None:
    gone = registry.push(models[0])
    champion = registry.push(models[1], alias="champion")
    base = registry.push(models[2])
    adapter = registry.push(write_adapter(tmp_path / "adapter"), base=base.digest, alias="lora")
    leased = registry.push(models[3])
    registry.attach(gone.digest, "application/x.report", {"of": "gone"})
    registry.attach(champion.digest, "application/x.report", {"of": "champion"})
    before = blobs(root)
    with registry.lease(leased.digest, "engine", 60):
        planned = registry.gc(dry_run=True)
        assert blobs(root) == before
        removed = registry.gc()
        assert removed == planned
    assert removed.versions == (gone.digest,)
    assert {version.digest for version in registry.versions()} == {
        champion.digest,
        base.digest,
        adapter.digest,
        leased.digest,
    }
    for version in registry.versions():
        registry.verify(version.digest)
    assert len(registry.referrers("champion")) == 1
    with pytest.raises(UnknownVersion):
        registry.version(gone.digest)
    assert before - blobs(root) == {digest[7:] for digest in removed.blobs}
    assert len(removed.blobs) == 2 + 2 + 2  # two shards, config and manifest, report and its manifest
    assert registry.gc().versions == (leased.digest,)
    assert [entry.before for entry in registry.audit() if entry.action == "collect"] == [gone.digest, leased.digest]


def test_collection_keeps_what_a_rollback_needs(registry: Registry, models: list[Path]) -> None:
    oldest, previous, current = (registry.push(model, alias="champion").digest for model in models[:3])
    assert registry.gc().versions == (oldest,)
    registry.move("champion", previous, expected=current)
    registry.verify("champion")


def test_collection_keeps_what_is_new(registry: Registry, models: list[Path]) -> None:
    digest = registry.push(models[0]).digest
    assert registry.gc(older_than_s=3600).versions == ()
    assert registry.gc().versions == (digest,)


def test_collection_takes_what_a_dead_push_left(registry: Registry, root: Path, models: list[Path]) -> None:
    registry.push(models[0], alias="v1")
    (root / "vqc/partial/dead").write_bytes(b"x" * 1000)
    (root / "blobs/sha256" / ("f" * 64)).write_bytes(b"orphan")
    removed = registry.gc()
    assert (removed.blobs, removed.freed_bytes) == (("sha256:" + "f" * 64,), 1006)
    assert not (root / "vqc/partial/dead").exists()
    registry.verify("v1")


def test_collection_does_not_run_beside_a_push(registry: Registry, models: list[Path]) -> None:
    registry.push(models[0], alias="v1")
    with registry.store.adding(), pytest.raises(RegistryBusy, match="is running"):
        registry.gc()


def test_collection_removes_nothing_when_it_cannot_see_what_is_held(
    registry: Registry, root: Path, models: list[Path]
) -> None:
    registry.push(models[0])
    digest = registry.push(models[1], alias="v1").digest
    blob = root / "blobs/sha256" / digest[7:]
    blob.chmod(0o644)
    blob.write_bytes(b"{}")
    before = blobs(root)
    with pytest.raises(Corrupt):
        registry.gc()
    assert blobs(root) == before


def test_another_tools_artifacts_survive(registry: Registry, root: Path, models: list[Path]) -> None:
    registry.push(models[0], alias="v1")
    image = b'{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:%s","size":2},"layers":[]}' % (b"4" * 64)
    from registry.oci import descriptor_of

    blob = descriptor_of(image, "application/vnd.oci.image.manifest.v1+json")
    (root / "blobs/sha256" / blob.digest[7:]).write_bytes(image)
    entry = {
        **blob.as_dict(),
        "annotations": {"org.opencontainers.image.ref.name": "nginx"},
        "platform": {"os": "linux"},
    }
    edit_index(root, lambda document: document["manifests"].append(entry))
    registry.gc()
    registry.move("v2", "v1", expected=None)
    assert entry in json.loads((root / "index.json").read_text())["manifests"]
    assert [version.digest for version in registry.versions()] == [registry.resolve("v1")]


def test_a_lease_ends_when_its_holder_is_gone(
    registry: Registry, root: Path, models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = registry.push(models[0]).digest
    lease = registry.lease(digest, "engine", 60)
    lease.__enter__()
    try:
        assert registry.gc().versions == ()
        monkeypatch.setattr("registry.layout.leases.time", lambda: time() + 61)
        assert registry.gc().versions == (digest,)
    finally:
        lease.__exit__(None, None, None)


def test_a_lease_is_renewed_while_its_holder_lives(registry: Registry, root: Path, models: list[Path]) -> None:
    digest = registry.push(models[0]).digest
    with registry.lease(digest, "engine", 0.3):
        (path,) = (root / "vqc/leases").iterdir()
        first = json.loads(path.read_text())["until"]
        while json.loads(path.read_text())["until"] == first:
            sleep(0.01)
        assert registry.gc().versions == ()
    assert list((root / "vqc/leases").iterdir()) == []


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan")])
def test_a_lease_needs_time(registry: Registry, models: list[Path], ttl_s: float) -> None:
    digest = registry.push(models[0]).digest
    with pytest.raises(InvalidValue, match="ttl_s"), registry.lease(digest, "engine", ttl_s):
        pass


def test_moving_anywhere_is_logged_with_where_it_was(registry: Registry, models: list[Path]) -> None:
    first = registry.push(models[0], alias="champion").digest
    second = registry.push(models[1]).digest
    entry = registry.move("champion", second, expected=ANY, actor="ann", reason="better")
    assert (entry.before, entry.after, entry.actor, entry.reason) == (first, second, "ann", "better")
    assert registry.audit()[-1] == entry
