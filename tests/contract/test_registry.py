"""The registry's laws, over the layout in a directory and over a real Docker Registry."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from registry import ANY, AliasMoved, Corrupt, NotACheckpoint, Registry, UnknownVersion, VersionFacts, open_registry
from tests.support.docker_registry import DockerRegistry
from tests.support.registry_models import BELONGS, OTHER_TOKENIZER, digests, write_adapter, write_model
from vqc.errors import InvalidValue

WEIGHTS = "model-00001-of-00002.safetensors"
_names = count()


class Place:
    """A new registry of one kind, and where its bytes are kept."""

    def __init__(self, where: str, blob: Callable[[str], Path]) -> None:
        self.registry: Registry = open_registry(where)
        self.blob = blob


@pytest.fixture(params=["layout", "docker"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "layout":
        root = tmp_path / "registry"
        return Place(str(root), lambda digest: root / "blobs/sha256" / digest[7:])
    server: DockerRegistry = request.getfixturevalue("docker_registry")
    return Place(f"oci://{server.host}/laws/r{os.getpid()}-{next(_names)}", server.blob)


@pytest.fixture
def registry(place: Place) -> Registry:
    return place.registry


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that no other test pushes: a Docker Registry shares blobs between repositories."""
    return write_model(tmp_path / "model", seed=next(_names) + 10_000 * os.getpid())


def weights_of(registry: Registry, ref: str) -> str:
    return next(file.digest for file in registry.version(ref).files if file.title == WEIGHTS)


def test_a_version_is_named_by_its_bytes_alone(registry: Registry, model: Path, tmp_path: Path) -> None:
    version = registry.push(model)
    assert registry.push(model).digest == version.digest
    assert open_registry(tmp_path / "another").push(model).digest == version.digest
    assert [found.digest for found in registry.versions()] == [version.digest]
    (model / "tokenizer.json").write_text(OTHER_TOKENIZER)
    assert registry.push(model).digest != version.digest
    assert len(registry.versions()) == 2


def test_what_comes_back_is_what_went_in(registry: Registry, model: Path, tmp_path: Path) -> None:
    registry.push(model, alias="v1")
    directory = registry.materialise("v1", tmp_path / "cache")
    expected = {name: digest for name, digest in digests(model).items() if name in BELONGS}
    assert digests(directory) == expected
    assert registry.materialise("v1", tmp_path / "cache") == directory
    assert digests(registry.pull("v1", tmp_path / "out")) == expected
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_pulling_over_somebodys_files_is_refused(registry: Registry, model: Path, tmp_path: Path) -> None:
    registry.push(model, alias="v1")
    with pytest.raises(InvalidValue, match="does not exist, or is empty"):
        registry.pull("v1", model)
    assert (model / "optimizer.pt").exists()


def test_a_version_is_found_by_alias_digest_and_its_beginning(registry: Registry, model: Path) -> None:
    digest = registry.push(model, alias="champion").digest
    assert registry.aliases() == {"champion": digest}
    assert {registry.resolve(ref) for ref in ("champion", digest, digest[:16])} == {digest}
    assert registry.version("champion").size_bytes == sum(path.size for path in registry.version(digest).files)


@pytest.mark.parametrize("ref", ["champoin", "sha256:" + "0" * 64, "sha256:0000000", ""])
def test_an_unknown_reference_names_what_is_near(registry: Registry, model: Path, ref: str) -> None:
    registry.push(model, alias="champion")
    with pytest.raises(UnknownVersion, match="champion"):
        registry.resolve(ref)


def test_an_empty_registry_says_so(registry: Registry) -> None:
    assert registry.versions() == []
    assert registry.aliases() == {}
    assert registry.audit() == []
    with pytest.raises(UnknownVersion, match="none yet"):
        registry.resolve("champion")


def test_facts_travel_with_the_version(registry: Registry, model: Path) -> None:
    facts = VersionFacts(
        dataset="d1", run="r1", git_revision="abc", contract={"prompts": "p1"}, evaluation={"f1": 0.5, "说明": "好"}
    )
    digest = registry.push(model, facts=facts).digest
    found = registry.version(digest)
    assert found.facts == facts
    assert found.contract == {"prompts": "p1"}
    assert found.kind == "model"


def test_an_adapter_names_its_base(registry: Registry, model: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter")
    with pytest.raises(NotACheckpoint, match="push '/models/base' first"):
        registry.push(adapter)
    with pytest.raises(UnknownVersion):
        registry.push(adapter, base="v1")
    base = registry.push(model, alias="v1")
    version = registry.push(adapter, base="v1")
    assert (version.kind, version.base) == ("adapter", base.digest)
    assert version.facts.base_model == "/models/base"
    directory = registry.materialise(version.digest, tmp_path / "cache")
    assert set(digests(directory)) == {"adapter_config.json", "adapter_model.safetensors"}


def test_an_alias_moves_only_from_where_it_was_thought_to_be(registry: Registry, model: Path) -> None:
    first = registry.push(model).digest
    (model / "tokenizer.json").write_text(OTHER_TOKENIZER)
    second = registry.push(model).digest
    registry.move("champion", first, expected=None, actor="ann", reason="the first")
    with pytest.raises(AliasMoved, match=first):
        registry.move("champion", second, expected=None, actor="bob")
    with pytest.raises(AliasMoved):
        registry.move("champion", second, expected=second, actor="bob")
    registry.move("champion", second, expected=first, actor="ann")
    registry.move("champion", first, expected=ANY, actor="bob")
    assert registry.aliases() == {"champion": first}
    moves = [(entry.before, entry.after, entry.actor) for entry in registry.audit() if entry.action == "move"]
    assert moves == [(None, first, "ann"), (first, second, "ann"), (second, first, "bob")]
    assert [entry.after for entry in registry.audit() if entry.action == "push"] == [first, second]


@pytest.mark.parametrize("alias", ["", "a b", "sha256-x", "version.1", "-x", "冠军", "x" * 101])
def test_what_cannot_be_an_alias_is_refused_before_any_work(registry: Registry, model: Path, alias: str) -> None:
    with pytest.raises(InvalidValue, match="alias"):
        registry.push(model, alias=alias)
    assert registry.versions() == []


def test_reports_are_attached_to_a_version(registry: Registry, model: Path) -> None:
    registry.push(model, alias="v1")
    report = "application/vnd.vqc.evaluation+json"
    first = registry.attach("v1", report, {"f1": 0.5})
    registry.attach("v1", report, {"f1": 0.6})
    registry.attach("v1", "application/vnd.vqc.signature", b"\x00signed")
    assert [found.json() for found in registry.referrers("v1", report)] == [{"f1": 0.5}, {"f1": 0.6}]
    assert registry.referrers("v1", report)[0].digest == first
    assert {found.artifact_type for found in registry.referrers("v1")} == {report, "application/vnd.vqc.signature"}
    assert [found.content for found in registry.referrers("v1", "application/vnd.vqc.signature")] == [b"\x00signed"]
    with pytest.raises(InvalidValue, match="media type"):
        registry.attach("v1", "report", {})
    assert len(registry.versions()) == 1


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("spoil", [flip, cut, Path.unlink], ids=["flipped", "cut", "missing"])
def test_spoilt_bytes_are_named_and_never_served(
    place: Place, model: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    registry = place.registry
    registry.push(model, alias="v1")
    registry.verify("v1")
    digest = weights_of(registry, "v1")
    blob = place.blob(digest)
    blob.chmod(0o644)
    spoil(blob)
    with pytest.raises(Corrupt) as verified:
        registry.verify("v1")
    assert WEIGHTS in verified.value.file
    assert digest in verified.value.expected
    with pytest.raises(Corrupt):
        registry.materialise("v1", tmp_path / "cache")
    assert list((tmp_path / "cache" / "versions").glob("*")) == []
    with pytest.raises(Corrupt):
        registry.pull("v1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_spoilt_manifest_is_no_version(place: Place, model: Path) -> None:
    digest = place.registry.push(model, alias="v1").digest
    place.blob(digest).chmod(0o644)
    flip(place.blob(digest))
    with pytest.raises(Corrupt) as caught:
        place.registry.version("v1")
    assert digest in caught.value.expected


def test_a_spoilt_cache_is_made_new(registry: Registry, model: Path, tmp_path: Path) -> None:
    registry.push(model, alias="v1")
    directory = registry.materialise("v1", tmp_path / "cache")
    (directory / "config.json").write_text("{}")
    (directory / "extra.json").write_text("{}")
    assert registry.materialise("v1", tmp_path / "cache") == directory
    assert set(digests(directory)) == BELONGS
    assert digests(directory)["config.json"] == digests(model)["config.json"]


def test_several_pullers_get_one_whole_version(registry: Registry, model: Path, tmp_path: Path) -> None:
    registry.push(model, alias="v1")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: registry.materialise("v1", tmp_path / "cache"), range(4)))
    assert len(set(found)) == 1
    assert set(digests(found[0])) == BELONGS


def test_a_leased_version_names_its_holder(registry: Registry, model: Path) -> None:
    digest = registry.push(model, alias="v1").digest
    with registry.lease("v1", "engine-1", 60) as lease:
        assert (lease.digest, lease.holder) == (digest, "engine-1")
        lease.renew()
    with pytest.raises(UnknownVersion), registry.lease("v2", "engine-1", 60):
        pass


def test_progress_counts_every_byte(registry: Registry, model: Path, tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    def progress(name: str, done: int, total: int) -> None:
        assert seen.get(name, 0) <= done <= total
        seen[name] = done

    registry.push(model, alias="v1", progress=progress)
    sizes = {name: (model / name).stat().st_size for name in BELONGS}
    assert seen == sizes
    seen.clear()
    registry.pull("v1", tmp_path / "out", progress)
    assert seen == sizes


def test_other_tools_paths_stay_inside_the_directory(registry: Registry, model: Path, tmp_path: Path) -> None:
    from registry.oci import MANIFEST_TYPE, MODEL_TYPE, descriptor_of
    from registry.version import layer

    version = registry.push(model)
    escaping = version.manifest.model_copy(update={"layers": (layer("../../evil.json", version.files[0]),)}).to_bytes()
    blob = descriptor_of(escaping, MANIFEST_TYPE, artifactType=MODEL_TYPE)
    registry.store.add_manifest(escaping, blob)
    with pytest.raises(Corrupt, match="evil"):
        registry.materialise(blob.digest, tmp_path / "cache")
    assert not list(tmp_path.rglob("evil.json"))


@pytest.mark.parametrize("name", ["modeling_evil.py", "pytorch_model.bin", "sub/x.PKL", "x.so", "rng.pth"])
def test_other_tools_code_and_pickles_are_not_pulled(
    registry: Registry, model: Path, tmp_path: Path, name: str
) -> None:
    from registry.oci import MANIFEST_TYPE, MODEL_TYPE, descriptor_of
    from registry.version import layer

    version = registry.push(model)
    layers = (*version.files, layer(name, version.files[0]))
    content = version.manifest.model_copy(update={"layers": layers}).to_bytes()
    blob = descriptor_of(content, MANIFEST_TYPE, artifactType=MODEL_TYPE)
    registry.store.add_manifest(content, blob)
    for use in (
        lambda: registry.materialise(blob.digest, tmp_path / "cache"),
        lambda: registry.pull(blob.digest, tmp_path / "out"),
    ):
        with pytest.raises(Corrupt, match=name.replace(".", r"\.")):
            use()
    assert not list(tmp_path.rglob(name.split("/")[-1]))
