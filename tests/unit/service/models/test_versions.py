"""Versions from a directory and from a registry: resolved, verified, checked against the contract, leased while served."""

from __future__ import annotations

import json

import pytest

from registry import open_registry
from registry.errors import Corrupt
from service.models.versions import DirectoryVersion, FixedVersion, RegistryVersions, VersionUnavailable
from service.platform.errors import NotSwappable
from tests.support.bare_model import checkpoint
from vqc.contract import contract_digests
from vqc.errors import InvalidValue


@pytest.fixture
def registry(tmp_path):
    return open_registry(tmp_path / "registry")


@pytest.fixture
def source(registry, tmp_path):
    return RegistryVersions(registry, tmp_path / "cache")


def adapter_of(directory, base, **changes):
    directory.mkdir()
    config = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": str(base), **changes}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    (directory / "adapter_model.safetensors").write_bytes((base / "model.safetensors").read_bytes())
    return directory


class TestRegistry:
    async def test_a_version_becomes_a_verified_directory_that_is_leased_until_released(
        self, source, registry, tmp_path
    ):
        version = registry.push(checkpoint(tmp_path / "a", b"one"))
        digest = await source.resolve(version.digest[:20])
        fetched = await source.fetch(digest, digest, "default")
        assert (fetched.model.alias, fetched.model.digest) == ("default", version.digest)
        content = (tmp_path / "a" / "model.safetensors").read_bytes()
        assert (fetched.directory / "model.safetensors").read_bytes() == content
        assert version.digest not in registry.gc().versions
        fetched.release()
        fetched.release()
        assert version.digest in registry.gc().versions

    async def test_an_unknown_alias_is_named(self, source, registry, tmp_path):
        registry.push(checkpoint(tmp_path / "a", b"one"), alias="champion")
        with pytest.raises(InvalidValue, match="champoin.*'champion'"):
            await source.resolve("champoin")

    async def test_a_flipped_byte_is_found_before_anything_is_served(self, source, registry, tmp_path):
        version = registry.push(checkpoint(tmp_path / "a", b"one"), alias="champion")
        (weights,) = [file.digest for file in version.files if file.title == "model.safetensors"]
        blob = tmp_path / "registry" / "blobs" / "sha256" / weights.removeprefix("sha256:")
        content = bytearray(blob.read_bytes())
        content[-1] ^= 1
        blob.chmod(0o644)
        blob.write_bytes(content)
        with pytest.raises(Corrupt, match=r"model\.safetensors"):
            await source.fetch("champion", version.digest, "champion")

    @pytest.mark.parametrize("part", sorted(part for part in contract_digests() if not part.startswith("mission/")))
    async def test_a_version_of_another_contract_is_rejected_by_the_part_that_differs(
        self, source, registry, tmp_path, part
    ):
        trained = {**contract_digests(), part: "0" * 64}
        version = registry.push(checkpoint(tmp_path / "a", b"one", trained), alias="champion")
        with pytest.raises(InvalidValue, match=f"must be trained with this version's {part};"):
            await source.fetch("champion", version.digest, "champion")
        assert not (tmp_path / "cache").exists()

    async def test_an_adapter_comes_with_its_base(self, source, registry, tmp_path):
        base = checkpoint(tmp_path / "base", b"one")
        pushed = registry.push(base)
        version = registry.push(adapter_of(tmp_path / "lora", base), alias="dev", base=pushed.digest)
        fetched = await source.fetch("dev", version.digest, "dev")
        assert (fetched.directory / "adapter_model.safetensors").exists()
        assert fetched.base is not None
        assert (fetched.base / "config.json").exists()

    async def test_an_adapter_with_modules_to_save_must_be_merged(self, source, registry, tmp_path):
        base = checkpoint(tmp_path / "base", b"one")
        pushed = registry.push(base)
        lora = adapter_of(tmp_path / "lora", base, modules_to_save=["visual.merger"])
        version = registry.push(lora, alias="dev", base=pushed.digest)
        with pytest.raises(InvalidValue, match="modules_to_save.*merge it"):
            await source.fetch("dev", version.digest, "dev")

    async def test_a_cache_that_cannot_be_written_is_reported(self, registry, tmp_path):
        version = registry.push(checkpoint(tmp_path / "a", b"one"), alias="champion")
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(VersionUnavailable, match="/file/cache"):
            await RegistryVersions(registry, tmp_path / "file" / "cache").fetch("champion", version.digest, "champion")


class TestDirectory:
    async def test_its_digest_changes_with_its_bytes(self, tmp_path):
        source, directory = DirectoryVersion(), checkpoint(tmp_path / "a", b"one")
        first = await source.resolve(str(directory))
        (directory / "tokenizer.json").write_text("{ }")
        assert await source.resolve(str(directory)) != first

    async def test_an_adapters_digest_changes_with_its_own_bytes_and_with_those_of_its_base(self, tmp_path):
        source, base = DirectoryVersion(), checkpoint(tmp_path / "base", b"one")
        lora = adapter_of(tmp_path / "lora", base)
        found = [await source.resolve(str(lora))]
        for changed in (base / "model.safetensors", lora / "adapter_model.safetensors"):
            changed.write_bytes(changed.read_bytes() + b" ")
            found += [await source.resolve(str(lora)), await source.resolve(str(lora))]
        assert len(found) == 5
        assert len(set(found)) == 3

    async def test_a_symbolic_link_is_resolved_once(self, tmp_path):
        (tmp_path / "current").symlink_to(checkpoint(tmp_path / "a", b"one"))
        fetched = await DirectoryVersion().fetch(str(tmp_path / "current"), "d", "default")
        assert fetched.directory == tmp_path / "a"

    async def test_an_adapter_names_its_base_directory(self, tmp_path):
        base = checkpoint(tmp_path / "base", b"one")
        fetched = await DirectoryVersion().fetch(str(adapter_of(tmp_path / "lora", base)), "d", "default")
        assert fetched.base == base
        gone = adapter_of(tmp_path / "other", base, base_model_name_or_path="/gone")
        with pytest.raises(InvalidValue, match="'/gone'.*base model"):
            await DirectoryVersion().fetch(str(gone), "d", "default")

    async def test_a_directory_without_a_model_is_named(self, tmp_path):
        with pytest.raises(InvalidValue, match="VQC_MODEL.*VQC_REGISTRY"):
            await DirectoryVersion().resolve(str(tmp_path))


async def test_a_fixed_model_has_no_other_version():
    with pytest.raises(NotSwappable):
        await FixedVersion().resolve("")
