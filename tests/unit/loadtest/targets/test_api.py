"""The environment of the measured API."""

from __future__ import annotations

import pytest

from loadtest.targets.api import server_environment


def test_the_measured_api_takes_the_callers_settings_but_not_its_engine_or_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VQC_PHOTO_THREADS", "2")
    monkeypatch.setenv("VQC_ENGINE_URL", "http://engine")
    monkeypatch.setenv("VQC_API_KEYS_FILE", "keys.yaml")
    monkeypatch.setenv("VQC_PORT", "1")
    environment = server_environment(8123, 512)
    ours = {name: value for name, value in environment.items() if name.startswith("VQC_")}
    assert ours == {
        "VQC_PHOTO_THREADS": "2",
        "VQC_HOST": "127.0.0.1",
        "VQC_PORT": "8123",
        "VQC_ENGINE": "scripted",
        "VQC_STAGE_B": "off",
        "VQC_MAX_IN_FLIGHT": "512",
        "VQC_LOG_LEVEL": "warning",
    }
