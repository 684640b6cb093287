"""A directory that a stranger made: links, special files, documents that are too long, too deep or no documents."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry import Corrupt, Registry, open_registry
from registry.errors import RegistryError
from registry.guidance import push_guidance
from registry.oci import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    MAX_ATTACHMENT,
    MODEL_TYPE,
    Descriptor,
    Index,
    canonical,
    descriptor_of,
)
from registry.values import parse_json
from registry.version import layer
from tests.support.registry_models import write_model
from vqc.errors import InvalidValue, VqcError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", shards=1)


@pytest.fixture
def root(tmp_path: Path, model: Path) -> Path:
    """A registry with one version, ``v1``."""
    open_registry(tmp_path / "registry").push(model, alias="v1")
    return tmp_path / "registry"


PARTS = ["oci-layout", "index.json", "blobs", "blobs/sha256", "vqc", "vqc/audit.jsonl", "vqc/partial", "vqc/index.lock"]


@pytest.mark.parametrize("part", [*PARTS, "vqc/collect.lock", "vqc/leases"])
@pytest.mark.parametrize("kind", ["link", "relative link", "broken link", "pipe"])
def test_a_part_that_is_a_link_or_a_special_file_is_refused_at_once(
    root: Path, model: Path, tmp_path: Path, part: str, kind: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    path = root / part
    if path.exists():
        path.rename(elsewhere)
    else:
        elsewhere.mkdir()
    before = sorted(elsewhere.rglob("*"))
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(
            {"link": elsewhere, "relative link": os.path.relpath(elsewhere, path.parent)}.get(kind, "/no/where")
        )
    with pytest.raises((Corrupt, InvalidValue)):
        open_registry(root).push(model, alias="v2")
    assert sorted(elsewhere.rglob("*")) == before


def test_the_directory_itself_may_be_a_link(root: Path, tmp_path: Path, model: Path) -> None:
    (tmp_path / "models").symlink_to(root)
    registry = open_registry(tmp_path / "models")
    registry.push(model, alias="v2")
    registry.verify("v2")


def blob_of(root: Path, registry: Registry, name: str) -> Path:
    file = next(file for file in registry.version("v1").files if file.title == name)
    return root / "blobs/sha256" / file.digest[7:]


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_a_blob_that_is_no_file_is_neither_read_nor_waited_for(
    root: Path, model: Path, tmp_path: Path, kind: str
) -> None:
    registry = open_registry(root)
    path = blob_of(root, registry, "config.json")
    (tmp_path / "elsewhere").write_bytes(path.read_bytes())
    path.unlink()
    {"link": lambda: path.symlink_to(tmp_path / "elsewhere"), "pipe": lambda: os.mkfifo(path), "directory": path.mkdir}[
        kind
    ]()
    uses: list[Callable[[], object]] = [
        lambda: registry.verify("v1"),
        lambda: registry.pull("v1", tmp_path / "out"),
        lambda: registry.materialise("v1", tmp_path / "cache"),
    ]
    for use in uses:
        with pytest.raises(Corrupt):
            use()
    if kind == "directory":
        path.rmdir()
    registry.push(model, alias="v1")  # repairs it
    registry.verify("v1")


def test_an_index_or_a_blob_that_is_too_long_is_not_read(root: Path) -> None:
    registry = open_registry(root)
    blob = Descriptor(media_type="a/b", digest="sha256:" + "0" * 64, size=MAX_ATTACHMENT + 1)
    path = root / "blobs/sha256" / ("0" * 64)
    with path.open("wb") as file:
        file.truncate(blob.size)
    with pytest.raises(Corrupt, match="at most"):
        registry.store.read(blob)
    with pytest.raises(InvalidValue, match="at most"):
        registry.attach("v1", "application/vnd.vqc.report+json", bytes(MAX_ATTACHMENT + 1))
    os.truncate(root / "index.json", 2**30)
    with pytest.raises(Corrupt, match="at most"):
        registry.versions()


DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
GARBAGE = {
    "empty": b"",
    "not JSON": b"x",
    "not UTF-8": b'{"a": "\xff"}',
    "a list": b"[]",
    "null": b"null",
    "deep": DEEP,
    "deep inside": b'{"manifests": ' + DEEP + b', "config": ' + DEEP + b"}",
    "wrong types": b'{"manifests": 1, "layers": "x", "config": [], "subject": 1, "annotations": 2}',
    "wrong parts": b'{"manifests": [{}, 1], "layers": [null], "config": {"digest": 1}, "subject": {"digest": "x"}}',
    "long number": b'{"schemaVersion": ' + b"1" * 5000 + b"}",
    "odd counts": '{"annotations": {"vqc.audit-bytes": "²"}}'.encode(),
    "long counts": b'{"annotations": {"vqc.audit-bytes": "' + b"9" * 5000 + b'"}}',
}
USES: list[Callable[[Registry, Path], object]] = [
    lambda registry, folder: registry.versions(),
    lambda registry, folder: registry.audit(),
    lambda registry, folder: registry.referrers("v1"),
    lambda registry, folder: registry.verify("v1"),
    lambda registry, folder: registry.gc(),
    lambda registry, folder: registry.move("v2", "v1", expected=None),
    lambda registry, folder: registry.push(folder / "model", alias="v3"),
]


def use_all(root: Path, folder: Path) -> list[VqcError]:
    """Every operation works or ends as an error of the registry; returns the errors."""
    errors: list[VqcError] = []
    for use in USES:
        try:
            use(open_registry(root), folder)
        except (RegistryError, InvalidValue) as error:
            errors.append(error)
    return errors


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("place", ["index.json", "vqc/audit.jsonl", "vqc/leases/x.json", "a listed manifest"])
def test_a_document_that_is_none_is_a_registry_error(root: Path, tmp_path: Path, place: str, garbage: str) -> None:
    content = GARBAGE[garbage]
    if place == "a listed manifest":
        registry = open_registry(root)
        blob = descriptor_of(content, MANIFEST_TYPE)
        registry.store.add_manifest(content, blob)
    else:
        (root / "vqc/leases").mkdir(exist_ok=True)
        (root / place).write_bytes(content + (b"\n" if place.endswith("jsonl") else b""))
    errors = use_all(root, tmp_path)
    if place == "vqc/leases/x.json":
        assert any("x.json" in str(error) for error in errors), "what it protects is unknown: nothing is removed"
        assert len(open_registry(root).versions()) == 1


@pytest.fixture
def shallow() -> Iterator[None]:
    """Few calls may be nested, so that a short chain shows what a long one does."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 150)
    yield
    sys.setrecursionlimit(limit)


def add_quickly(root: Path, content: bytes, media_type: str, **more: object) -> Descriptor:
    """Stores a blob without waiting for the disk."""
    blob = descriptor_of(content, media_type, **more)
    (root / "blobs/sha256" / blob.digest[7:]).write_bytes(content)
    return blob


@pytest.mark.usefixtures("shallow")
def test_a_long_chain_of_bases_is_verified_and_collected(root: Path) -> None:
    registry = open_registry(root)
    version = registry.version("v1")
    index = Index.model_validate_json((root / "index.json").read_bytes())
    entries = [Descriptor(media_type=MANIFEST_TYPE, digest=version.digest, size=0)]
    for _ in range(200):
        notes = {**(version.manifest.annotations or {}), "vqc.base": entries[-1].digest}
        content = version.manifest.model_copy(update={"annotations": notes, "layers": ()}).to_bytes()
        entries.append(add_quickly(root, content, MANIFEST_TYPE, artifactType=MODEL_TYPE))
    listed = index.model_copy(update={"manifests": (*index.manifests, *entries[1:])})
    (root / "index.json").write_bytes(listed.to_bytes())
    registry.verify(entries[-1].digest)
    assert len(registry.gc().versions) == 200


@pytest.mark.parametrize("base", ["v1", "circle", "sha256:1234567", "../x", ""])
def test_a_base_that_is_no_digest_is_refused(root: Path, tmp_path: Path, base: str) -> None:
    registry = open_registry(root)
    version = registry.version("v1")
    content = version.manifest.model_copy(update={"annotations": {"vqc.base": base}}).to_bytes()
    blob = descriptor_of(content, MANIFEST_TYPE, artifactType=MODEL_TYPE)
    registry.store.add_manifest(content, blob)
    if base:
        with pytest.raises(Corrupt, match="base version"):
            registry.verify(blob.digest)
        with pytest.raises(Corrupt, match="base version"):
            registry.gc()


@pytest.mark.usefixtures("shallow")
def test_nested_indexes_are_followed_to_any_depth(root: Path) -> None:
    """Each lists the next one twice: 2 to the power of 200 paths."""
    content = b'{"schemaVersion":2}'
    for _ in range(200):
        inner = add_quickly(root, content, INDEX_TYPE)
        content = Index(manifests=(inner, inner)).to_bytes()
    registry = open_registry(root)
    registry.store.add_manifest(content, descriptor_of(content, INDEX_TYPE))
    stray = add_quickly(root, b"stray", "a/b")
    assert registry.gc().blobs == (stray.digest,)


def test_other_tools_folders_among_the_blobs_stay(root: Path) -> None:
    (root / "blobs/sha256/folder").mkdir()
    (root / "blobs/sha256/folder/file").write_bytes(b"x")
    (root / "blobs/sha256/dangling").symlink_to("/no/where")
    open_registry(root).gc()
    assert (root / "blobs/sha256/folder/file").exists()
    assert not (root / "blobs/sha256/dangling").is_symlink()


@pytest.mark.parametrize(
    "names", [("a", "a/b"), ("a/b/c", "a"), ("x\ny",), ("x" * 300,), ("/".join("a" * 600),), ("a" * 2_000_000,)]
)
def test_paths_that_no_directory_can_hold_are_refused(root: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    registry = open_registry(root)
    version = registry.version("v1")
    layers = tuple(layer(name, version.files[0]) for name in names)
    content = version.manifest.model_copy(update={"layers": layers}).to_bytes()
    blob = descriptor_of(content, MANIFEST_TYPE, artifactType=MODEL_TYPE)
    registry.store.add_manifest(content, blob)
    with pytest.raises(Corrupt, match="one path inside") as caught:
        registry.materialise(blob.digest, tmp_path / "cache")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("evaluation", ["{", "[" * 50_000, "[1]", '{"a":' * 150 + "1" + "}" * 150])
def test_an_evaluation_that_is_no_object_names_its_version(root: Path, evaluation: str) -> None:
    registry = open_registry(root)
    version = registry.version("v1")
    content = version.manifest.model_copy(update={"annotations": {"vqc.evaluation": evaluation}}).to_bytes()
    blob = descriptor_of(content, MANIFEST_TYPE, artifactType=MODEL_TYPE)
    registry.store.add_manifest(content, blob)
    with pytest.raises(Corrupt, match=blob.digest):
        _ = registry.version(blob.digest).facts


@pytest.mark.parametrize("depth", [99, 100, 101, 500, 990, 1000, 100_000])
def test_json_that_can_be_read_can_be_written(depth: int) -> None:
    text = "[" * depth + "]" * depth
    if depth <= 100:
        assert canonical(parse_json(text)).decode() == text
    else:
        with pytest.raises(ValueError, match="nested"):
            parse_json(text)


def test_guidance_that_is_nested_too_deeply_is_invalid(root: Path) -> None:
    for depth in (500, 990, 50_000):
        with pytest.raises(InvalidValue):
            push_guidance(open_registry(root), b'{"mission": "x", "rules": ' + b"[" * depth + b"]" * depth + b"}")


@pytest.mark.parametrize("field", ["base", "contract"])
def test_facts_of_another_shape_are_left_out(tmp_path: Path, model: Path, field: str) -> None:
    (model / "vqc_manifest.json").write_text(json.dumps({field: ["x"], "run": "\ud800"}))
    open_registry(tmp_path / "r").push(model, alias="v1")


def test_a_directory_whose_name_is_not_utf_8_can_be_pushed(tmp_path: Path) -> None:
    model = write_model(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xb5\xb5")), shards=1)
    registry = open_registry(tmp_path / "r")
    registry.push(model, alias="v1")
    assert [entry.action for entry in registry.audit()] == ["push", "move"]


@pytest.mark.parametrize("name", [b"\xb5.txt", b"a\nb.txt", b"a\\b.txt"])
def test_a_file_whose_name_no_registry_can_hold_is_refused(tmp_path: Path, model: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(model) + b"/" + name)).write_text("x")
    with pytest.raises(InvalidValue, match="rename"):
        open_registry(tmp_path / "r").push(model)


def test_a_cached_version_that_is_a_link_is_made_again(root: Path, tmp_path: Path) -> None:
    registry = open_registry(root)
    target = registry.materialise("v1", tmp_path / "cache")
    elsewhere = tmp_path / "elsewhere"
    target.rename(elsewhere)
    target.symlink_to(elsewhere)
    assert registry.materialise("v1", tmp_path / "cache") == target
    assert not target.is_symlink()
    (target / "more").symlink_to(elsewhere)
    registry.materialise("v1", tmp_path / "cache")
    assert not (target / "more").is_symlink()
