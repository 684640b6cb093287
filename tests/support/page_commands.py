"""Someone who types the shell commands of a page, one after the other, in a directory of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
NEEDS_REVIEW = 3
SERVER = re.compile(r"(^|\s)vqc (up|api)\b")


def page_commands(page: Path) -> list[str]:
    """The commands of a page's shell blocks, without comments and with continuation lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := re.sub(r"\s+#.*", "", line).strip())]


def page_files(page: Path) -> dict[str, str]:
    """The files that a page tells its reader to write: YAML blocks whose first line is ``# NAME.yaml``."""
    blocks = re.findall(r"^```yaml\n# (\S+\.yaml)\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return dict(blocks)


def pretend_to_have_scored(report: Path, **metrics: float) -> None:
    """Writes into a report what evaluating a trained model on all photos would have found."""
    report.write_text(json.dumps(json.loads(report.read_text("utf-8")) | metrics))


class Reader:
    """Types commands into one shell after the other, in a folder that links to some of a clone's."""

    def __init__(
        self,
        folder: Path,
        *,
        links: Iterable[str] = ("deploy", "configs"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.output = ""
        (folder / "home").mkdir()
        (folder / "home/.curlrc").write_text("silent\nfail-with-body\n")  # an HTTP error is an exit code
        for name in links:
            (folder / name).symlink_to(ROOT / name)
        (folder / ".venv").symlink_to(sys.prefix)
        own = {name: value for name, value in os.environ.items() if not name.startswith("VQC_")}
        self.environment = own | {
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder / "home"),
            "VQC_PORT": str(self.port),
            "VQC_CLIENT_URL": self.url,
            **(environment or {}),
        }
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the running server answers."""
        return f"http://127.0.0.1:{self.port}"

    def run(self, command: str, **environment: str) -> int:
        """The exit code; standard output is in ``output``."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command.replace("8080", str(self.port))],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        self.output = done.stdout
        assert done.returncode in (0, NEEDS_REVIEW), f"{command}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.returncode

    def export(self, command: str) -> None:
        """Runs ``export NAME=VALUE`` and keeps its effect for what follows."""
        self.run(f"{command}; env -0")
        self.environment |= dict(pair.split("=", 1) for pair in self.output.split("\0") if "=" in pair)

    def start(self, command: str, **environment: str) -> None:
        """Starts a server and waits until it is ready."""
        self.stop()
        with (self.folder / "server.log").open("wb") as log:
            self._server = subprocess.Popen(
                ["bash", "-c", f"exec env {command}"], cwd=self.folder, env=self.environment | environment, stderr=log
            )
        deadline = time.monotonic() + 300
        while not self._is_ready():
            assert self._server.poll() is None, (self.folder / "server.log").read_text()[-4000:]
            assert time.monotonic() < deadline, f"{command} did not become ready"
            time.sleep(0.2)

    def stop(self) -> None:
        """Ends the server as a service manager does; it must exit cleanly."""
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            code, self._server = self._server.wait(90), None
            assert code == 0, (self.folder / "server.log").read_text()[-4000:]

    def engine_url(self, model: Path) -> str:
        """The socket of the engine that the server has started for a model."""
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = process.read_bytes().decode("utf-8", "replace").split("\0")
            except OSError:
                continue
            if "--uds" in words and str(model) in words:
                return f"unix://{words[words.index('--uds') + 1]}"
        raise AssertionError(f"no engine serves {model}")

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False
