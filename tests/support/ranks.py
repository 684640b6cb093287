"""A run in two processes of this machine, as torchrun would start them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from torch.distributed import TCPStore

from trainer.config import TrainConfig, resolved_yaml


def run_in_two(config: TrainConfig, directory: Path, command_line: str = "trainer.cli") -> None:
    """Trains in two processes without a GPU; fails with the end of a failed rank's standard error.

    ``command_line`` is the module that is started, as ``trainer.cli`` is.
    """
    path = directory / "two.yaml"
    path.write_text(resolved_yaml(config), encoding="utf-8")
    # They meet at a port that is open before its number is known, so nobody takes it in between; torchrun does the same.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    common |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", command_line, "run", str(path)]
    errors = [directory / f"rank{rank}.err" for rank in range(2)]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(path.open("w", encoding="utf-8")) for path in errors]
        ranks = [
            subprocess.Popen(command, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=file)
            for rank, file in enumerate(files)
        ]
        try:
            deadline = time.monotonic() + 300
            while any(rank.poll() is None for rank in ranks) and not any(rank.poll() for rank in ranks):
                assert time.monotonic() < deadline, f"the ranks wait for each other: {_ends(errors)}"
                time.sleep(0.1)
            assert not any(rank.poll() for rank in ranks), _ends(errors)  # one that failed leaves the other waiting
        finally:
            for rank in ranks:
                rank.kill()
                rank.wait()


def _ends(errors: list[Path]) -> str:
    return "\n".join(f"{path.name}: …{path.read_text('utf-8')[-2000:]}" for path in errors)
