"""Pyright finds nothing to say. It reads torch and transformers too, and takes most of a minute."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_pyright_finds_nothing():
    ran = subprocess.run([sys.executable, "-m", "pyright"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
