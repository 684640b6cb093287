"""What a page, a compose file, an image or the chart calls a setting is one, so that no name leads nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.platform.settings import Settings

ROOT = Path(__file__).parents[3]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "docker-compose.yml",
    *sorted((ROOT / "deploy" / "images").glob("*Dockerfile")),
    *sorted(path for name in ("compose", "helm") for path in (ROOT / "deploy" / name).rglob("*.*")),
]
NAME = re.compile(r"VQC_[A-Z0-9_]*[A-Z0-9]\b")
KNOWN = {f"VQC_{name.upper()}" for name in Settings.model_fields} | {"VQC_CLIENT_URL", "VQC_CLIENT_KEY"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_named_is_one(page: Path) -> None:
    named = set(NAME.findall(page.read_text()))
    assert named <= KNOWN, f"no settings: {sorted(named - KNOWN)}"


def test_the_deployments_name_some() -> None:
    for page in (ROOT / "docker-compose.yml", ROOT / "deploy" / "helm" / "vqc" / "templates" / "_helpers.tpl"):
        assert "VQC_ENGINE_URL" in NAME.findall(page.read_text())
