"""A registry in a directory, versions that could be promoted, and rules to judge them by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry import Registry, open_registry
from registry.gates.policy import MetricRule, ModelRule, ReportRule
from registry.gates.reports import attach_report
from tests.support.promotion import Push
from tests.support.registry_models import write_model
from vqc.contract import MANIFEST, contract_digests


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return open_registry(tmp_path / "registry")


@pytest.fixture
def push(registry: Registry, tmp_path: Path) -> Push:
    """Pushes a model that differs by its seed; ``report`` is its evaluation, ``contract`` goes over the running code's."""

    def pushed(seed: int, report: dict[str, object] | None = None, contract: dict[str, str] | None = None) -> str:
        directory = write_model(tmp_path / f"model-{seed}", seed=seed)
        named = {"contract": contract_digests() | (contract or {})}
        (directory / MANIFEST).write_text(json.dumps(named))
        version = registry.push(directory).digest
        if report is not None:
            attach_report(registry, version, "evaluation", report)
        return version

    return pushed


@pytest.fixture
def rule() -> ModelRule:
    metrics = {
        "f1_50_box": MetricRule(min=0.5, max_drop=0.01),
        "malformed": MetricRule(max=0.02, max_rise=0.01),
    }
    return ModelRule(reports={"evaluation": ReportRule(metrics=metrics, same=("num_images",))})
