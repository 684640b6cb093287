"""What every level shares: the tiny checkpoint, built once per worker, the order of tests, and what happens without vLLM."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.docker_registry import DockerRegistry, running_registry
from tests.support.scheduling import WholeFiles, level_of, runs_torch

os.environ["HF_HUB_OFFLINE"] = "1"
# The models of tests are tiny. With more threads they take up to four times the processor time, which is spent on waiting.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test asserts on time, and a run of CI says something of the change, not of its luck.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("suite"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts by level, the slowest first, and marks what runs torch."""
    items.sort(key=lambda item: level_of(item.nodeid))
    for item in items:
        if runs_torch(item.nodeid):
            item.add_marker("torch")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m "not torch …"`` the files that run torch are not even imported: that alone takes ten seconds."""
    file = collection_path.relative_to(config.rootpath) if collection_path.is_relative_to(config.rootpath) else None
    return True if file and "not torch" in config.option.markexpr and runs_torch(file.as_posix()) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers of pytest-xdist (``make test``) are given whole files."""
    return WholeFiles(config, log)


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
