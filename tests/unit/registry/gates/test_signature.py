"""Signatures: made with a local key, bound to every file, refused for any other key, version or bundle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from registry import Registry
from registry.gates.errors import SigningUnavailable
from registry.gates.reports import SIGNATURE_TYPE
from registry.gates.signature import sign, signature_problem
from tests.support.promotion import Push
from tests.support.signing_keys import key_pair
from vqc.errors import InvalidValue


@pytest.fixture
def directory(registry: Registry, push: Push, tmp_path: Path) -> Path:
    """The materialised directory of a version with the alias v1."""
    registry.move("v1", push(1), expected=None)
    return registry.materialise("v1", tmp_path / "cache")


def test_a_signature_holds_for_its_key_only(registry: Registry, directory: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "release")
    _, other = key_pair(tmp_path, "other")
    assert signature_problem(registry, "v1", directory, [public]) == ""
    sign(registry, "v1", directory, private)
    assert signature_problem(registry, "v1", directory, [public]) is None
    assert signature_problem(registry, "v1", directory, [other, public]) is None
    assert "key other.pub: Key mismatch" in (signature_problem(registry, "v1", directory, [other]) or "")


def test_an_encrypted_key_needs_its_password(registry: Registry, directory: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "release", b"open sesame")
    with pytest.raises(InvalidValue, match=r"release\.pem"):
        sign(registry, "v1", directory, private)
    sign(registry, "v1", directory, private, "open sesame")
    assert signature_problem(registry, "v1", directory, [public]) is None


@pytest.mark.parametrize("file", ["config.json", "model-00001-of-00002.safetensors"])
def test_one_changed_byte_breaks_it(registry: Registry, directory: Path, tmp_path: Path, file: str) -> None:
    private, public = key_pair(tmp_path, "release")
    sign(registry, "v1", directory, private)
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in directory.iterdir():
        content = path.read_bytes()
        (changed / path.name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if path.name == file else content)
    assert file in (signature_problem(registry, "v1", changed, [public]) or "")


def test_another_versions_signature_is_none(registry: Registry, push: Push, directory: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "release")
    sign(registry, "v1", directory, private)
    stolen = registry.referrers("v1", SIGNATURE_TYPE)[0].content
    other = push(2)
    registry.attach(other, SIGNATURE_TYPE, stolen)
    why = signature_problem(registry, other, registry.materialise(other, tmp_path / "cache"), [public])
    assert "mismatch" in (why or "").lower()


@pytest.mark.parametrize("content", [b"", b"{}", b"no bundle", b'{"mediaType": 1}'])
def test_what_is_no_bundle_is_no_signature(registry: Registry, directory: Path, tmp_path: Path, content: bytes) -> None:
    private, public = key_pair(tmp_path, "release")
    registry.attach("v1", SIGNATURE_TYPE, content)
    assert signature_problem(registry, "v1", directory, [public]) is not None
    sign(registry, "v1", directory, private)
    assert signature_problem(registry, "v1", directory, [public]) is None


@pytest.mark.parametrize("content", [None, b"no key"])
def test_a_key_that_is_none_is_named(
    registry: Registry, directory: Path, tmp_path: Path, content: bytes | None
) -> None:
    private, _ = key_pair(tmp_path, "release")
    bad = tmp_path / "bad.pem"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(InvalidValue, match=r"bad\.pem"):
        sign(registry, "v1", directory, bad)
    sign(registry, "v1", directory, private)
    with pytest.raises(InvalidValue, match=r"bad\.pem"):
        signature_problem(registry, "v1", directory, [bad])


def test_the_tool_of_openssf_agrees(registry: Registry, directory: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "release")
    sign(registry, "v1", directory, private)
    bundle = tmp_path / "model.sig"
    bundle.write_bytes(registry.referrers("v1", SIGNATURE_TYPE)[0].content)
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(directory)]
    command += ["--signature", str(bundle), "--public_key", str(public)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_without_the_library_it_says_what_to_install(
    registry: Registry, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, _ = key_pair(tmp_path, "release")
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(SigningUnavailable, match=r"vqc\[sign\]"):
        sign(registry, "v1", directory, private)
