"""Our rules as data, and the real Prometheus (Debian's package, with promtool) to try them on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
_COMPARED = re.compile(r"(?: (?:>|<|>=|<=|==|!=) [-+.\d]+)+$")


def need(program: str) -> str:
    """The program's path; in CI, which promises it, its absence is a failure."""
    if (path := shutil.which(program)) is not None:
        return path
    if os.environ.get("CI"):
        pytest.fail(f"{program} is not installed: make test-servers")
    pytest.skip(f"{program} is not installed: make test-servers")


def promtool(*words: object) -> str:
    """What promtool says; fails with it where promtool does."""
    done = subprocess.run([need("promtool"), *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    """Every rule, recordings and alerts, in the order of the files."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def values_of(alert: dict[str, Any]) -> list[str]:
    """The values that an alert compares with its limits: what there is to see while it does not fire.

    >>> values_of({"expr": "a / b > 0.1 and c == 0"})
    ['a / b', 'c']
    """
    return [_COMPARED.sub("", part) for part in alert["expr"].split(" and ")]
