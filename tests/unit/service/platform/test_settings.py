"""Settings from variables and from files of secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.platform.settings import read_settings
from service.tickets.wiring import tickets_at_once
from vqc.errors import InvalidValue


def test_a_secret_is_read_from_its_file_and_a_variable_takes_precedence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vqc_redis_url").write_text("redis://:from-file@redis/0\n")
    (tmp_path / "somebody_elses").write_text("x")
    monkeypatch.setenv("VQC_SECRETS_DIR", str(tmp_path))
    settings = read_settings()
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://:from-file@redis/0"
    assert "from-file" not in repr(settings)
    monkeypatch.setenv("VQC_REDIS_URL", "redis://variable/0")
    again = read_settings().redis_url
    assert again is not None
    assert again.get_secret_value() == "redis://variable/0"


def test_a_missing_directory_of_secrets_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VQC_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(InvalidValue, match="VQC_SECRETS_DIR"):
        read_settings()


def test_without_keys_the_api_listens_on_loopback_only_unless_set_otherwise() -> None:
    with pytest.raises(InvalidValue, match="VQC_API_KEYS_FILE"):
        read_settings(host="0.0.0.0")
    assert read_settings(host="0.0.0.0", keyless="anywhere").api_keys_file is None


def test_the_response_cache_of_an_external_engine_requires_a_digest() -> None:
    with pytest.raises(InvalidValue, match="requires model_digest"):
        read_settings(engine_url="http://engine:8000", answer_cache_h=1)
    assert (
        read_settings(engine_url="http://engine:8000", answer_cache_h=1, model_digest="sha256:d").answer_cache_entries
        > 0
    )


@pytest.mark.parametrize(
    ("given", "at_once"),
    [
        ({"engine_profile": "gpu"}, 64),
        ({"engine_profile": "cpu"}, 16),
        ({"engine_profile": "gpu", "worker_concurrency": 3}, 3),
    ],
)
def test_the_default_concurrency_of_a_worker_depends_on_its_engine(given, at_once):
    assert tickets_at_once(read_settings(**given)) == at_once
