"""Managed engines whose vLLM is a double that starts in a moment, and what the system shows of an engine's processes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from engine.managed import ManagedEngine, SupervisorTimeouts
from engine.profile import EngineSettings

ROOT = Path(__file__).parents[2]
FAKE = ROOT / "tests" / "support" / "fake_vllm.py"
QUICK = SupervisorTimeouts(heartbeat_s=0.05, backoff_s=0.05, backoff_max_s=0.2, canary_s=1.0, stall_s=0.5, stop_s=5.0)


def fake_command(*options: str) -> Callable[[EngineSettings, Path], list[str]]:
    return lambda settings, uds: [sys.executable, str(FAKE), "--uds", str(uds), *options]


@asynccontextmanager
async def managed(tmp_path: Path, *options: str, timeouts: SupervisorTimeouts = QUICK) -> AsyncIterator[ManagedEngine]:
    engine = ManagedEngine(
        EngineSettings(model=tmp_path, profile="cpu"),
        log_path=tmp_path / "logs" / "engine.log",
        timeouts=timeouts,
        command=fake_command(*options),
    )
    async with engine:
        yield engine


def members(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[3] == str(session) and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    return bool(members(pid))


def flag(engine, name: str) -> str:
    """The value of a flag that the engine's process was started with."""
    words = Path(f"/proc/{engine.pid}/cmdline").read_bytes().decode().split("\0")
    return words[words.index(name) + 1]
