"""What names a registry, and what is refused instead of becoming a directory of that name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from registry import open_registry
from registry.location import parse_location
from vqc.errors import InvalidValue


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("https://harbor.example.com/vqc", "oci://harbor.example.com/vqc"),
        ("http://localhost:5000/vqc", "oci://localhost:5000/vqc"),
        ("https://harbor.example.com/v2/team/vqc/", "oci://harbor.example.com/team/vqc"),
        ("HTTPS://harbor.example.com/vqc", "oci://harbor.example.com/vqc"),
        ("https:/harbor.example.com/vqc", "oci://harbor.example.com/vqc"),
        ("https://harbor.example.com", "oci://harbor.example.com/repository"),
        ("OCI://harbor.example.com/vqc", "oci://harbor.example.com/vqc"),
        ("oci:/harbor.example.com/vqc", "oci://harbor.example.com/vqc"),
        ("docker://localhost:5000/vqc", "oci://localhost:5000/vqc"),
        ("localhost:5000/vqc", "oci://localhost:5000/vqc"),
        ("localhost/vqc", "oci://localhost/vqc"),
        ("registry:5000/vqc", "oci://registry:5000/vqc"),
        ("registry:5000", "oci://registry:5000/repository"),
        ("harbor.example.com/vqc", "oci://harbor.example.com/vqc"),
        ("harbor.example.com:443/team/vqc", "oci://harbor.example.com:443/team/vqc"),
        ("harbor.example.com", "oci://harbor.example.com/repository"),
        ("10.0.0.7/vqc", "oci://10.0.0.7/vqc"),
        ("[::1]:5000/vqc", r"oci://\[::1\]:5000/vqc"),
        ("file:///srv/registry", "oci://"),
        ("file:models", "oci://"),
        ("s3://bucket/vqc", "oci://"),
        ("gs://bucket/vqc", "oci://"),
        ("hf://team/vqc", "oci://"),
        ("anything://else", "oci://"),
        ("", "oci://"),
        ("  ", "oci://"),
        ("a\0b", "oci://"),
        ("a\nb", "oci://"),
        (" oci://harbor.example.com/vqc", "without spaces"),
        ("//harbor.example.com/vqc", "oci://harbor.example.com/vqc"),
        ("git@harbor.example.com:team/vqc", "whole path"),
        ("~/models", "whole path"),
        ("$HOME/models", "whole path"),
        ("C:\\models", "whole path"),
        ("\\\\host\\models", "whole path"),
        ("x" * 5000, "can exist"),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_an_address_of_another_kind_is_refused_with_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, said: str, kind: type
) -> None:
    monkeypatch.chdir(tmp_path)
    if kind is Path and not where:
        return
    with pytest.raises(InvalidValue, match=said):
        open_registry(kind(where))
    assert os.listdir(tmp_path) == []


def test_a_password_in_an_address_is_not_repeated() -> None:
    for where in (
        "https://ann:secret@harbor.example.com/vqc",
        "ann:secret@harbor.example.com/vqc",
    ):
        with pytest.raises(InvalidValue, match="oci://harbor.example.com/vqc") as caught:
            parse_location(where)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "where",
    ["models", "./models", "/srv/models", "output/registry", "models.v2", ".cache/r", "./harbor.example.com/vqc"],
)
def test_a_path_is_a_directory(where: str) -> None:
    assert parse_location(where) == Path(where)


@pytest.mark.parametrize("where", ["harbor.example.com/vqc", "localhost/vqc", "harbor.example.com"])
def test_a_directory_that_exists_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path(where).mkdir(parents=True)
    assert parse_location(where) == Path(where)
