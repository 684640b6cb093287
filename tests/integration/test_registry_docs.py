"""Every command of docs/registry.md runs as it is written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.registry_models import write_adapter, write_model

ROOT = Path(__file__).parents[2]


def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    write_model(tmp_path / "merged")
    write_adapter(tmp_path / "adapter")
    (script,) = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/registry.md").read_text("utf-8"), re.DOTALL)
    assert script.count("vqc-registry") == 9
    function = f'vqc-registry() {{ "{sys.executable}" -m registry.cli "$@"; }}\n'
    command = ["bash", "-euc", function + script]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "sha256:" in ran.stdout
    assert (tmp_path / "out" / "config.json").exists()
