"""A registry whose versions are under the running contract and have been evaluated, for tests of promotion."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from registry import Registry
from registry.gates.reports import attach_report
from tests.support.registry_models import write_model
from vqc.contract import MANIFEST, contract_digests

RULES = {
    "models": {
        "champion": {
            "reports": {
                "evaluation": {
                    "same": ["num_images"],
                    "metrics": {"f1_50_box": {"min": 0.5, "max_drop": 0.01}, "malformed": {"max": 0.02}},
                }
            }
        }
    }
}


def evaluated(registry: Registry, folder: Path, seed: int, f1: float | None = None, *, contract: bool = True) -> str:
    """The digest of a pushed model, with an evaluation report if it has an ``f1``."""
    directory = write_model(folder / f"model-{seed}", seed=seed)
    named = contract_digests() if contract else {**contract_digests(), "grammar": "0" * 64}
    (directory / MANIFEST).write_text(json.dumps({"contract": named, "git_revision": f"{seed:040x}"}))
    digest = registry.push(directory).digest
    if f1 is not None:
        attach_report(registry, digest, "evaluation", {"f1_50_box": f1, "malformed": 0.0, "num_images": 100})
    return digest


def write_policy(path: Path) -> Path:
    """A policy file with ``RULES``."""
    path.write_text(yaml.safe_dump(RULES), "utf-8")
    return path
