"""``make setup`` installs once, and again only when something it reads has changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import setup_venv

Setup = Callable[..., list[str]]


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """Runs a copy of the script over an environment whose Python only writes down its arguments; returns them by line."""
    (tmp_path / "tools").mkdir()
    shutil.copy(setup_venv.__file__, tmp_path / "tools" / "setup_venv.py")
    (tmp_path / "pyproject.toml").write_text("[project]\ndependencies = []\n")
    (tmp_path / "constraints.txt").touch()
    (tmp_path / ".venv" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (tmp_path / ".venv" / "bin").mkdir()
    python, calls = tmp_path / ".venv" / "bin" / "python", tmp_path / "calls"
    python.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    python.chmod(0o755)

    def run(*extras: str) -> list[str]:
        calls.write_text("")
        subprocess.run([sys.executable, str(tmp_path / "tools" / "setup_venv.py"), *extras], check=True)
        return calls.read_text().splitlines()

    return run


def test_a_second_call_runs_no_pip(setup: Setup) -> None:
    first = setup()
    assert [line.split()[:4] for line in first] == [
        ["-m", "pip", "--disable-pip-version-check", "install"],
        ["-m", "pip", "--disable-pip-version-check", "uninstall"],
    ]
    assert ".[cpu,train,dev]" in first[0]
    assert setup() == []


def test_other_extras_and_changed_constraints_install_again(setup: Setup, tmp_path: Path) -> None:
    setup()
    assert ".[train]" in setup("train")[0]
    (tmp_path / "constraints.txt").write_text("click==8.2\n")
    assert setup("train")
    assert setup("train") == []


def test_a_failed_installation_is_repeated(setup: Setup, tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    script = python.read_text()
    python.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        setup()
    python.write_text(script)
    assert setup()
