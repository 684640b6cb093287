"""What every level shares: the tiny checkpoint, built once per test run, and what happens where vLLM is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.docker_registry import DockerRegistry, running_registry

os.environ["HF_HUB_OFFLINE"] = "1"

settings.register_profile("ci", derandomize=True)  # a run of CI says something of the change, not of its luck
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what needs the real vLLM where it is not installed; in CI, which promises it, that is a failure."""
    if item.get_closest_marker("engine") and find_spec("vllm") is None:
        missing = "vLLM is not installed (the extra `cpu` or `gpu`)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture(scope="session")
def docker_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """A real Docker Registry on a free port, empty at first. Use a repository of your own."""
    with running_registry(tmp_path_factory.mktemp("docker-registry")) as server:
        yield server


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete Qwen3-VL directory with random weights."""
    from trainer.tiny_checkpoint import build_tiny_checkpoint

    return build_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")
