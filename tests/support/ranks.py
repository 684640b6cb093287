"""A run in two processes of this machine, as torchrun would start them.

The processes are forks of one that has imported the trainer, which takes six seconds and would be done by each of them.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import time
from pathlib import Path

from torch.distributed import TCPStore

from trainer.config import TrainConfig, resolved_yaml

_TIMEOUT_S = 300.0


def run_in_two(config: TrainConfig, directory: Path, command_line: str = "trainer.cli") -> None:
    """Trains in two processes without a GPU; fails with the end of a failed rank's standard error.

    ``command_line`` is the module that is started, as ``trainer.cli`` is.
    """
    path = directory / "two.yaml"
    path.write_text(resolved_yaml(config), encoding="utf-8")
    # They meet at a port that is open before its number is known, so no other process takes it; torchrun does the same.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    common |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["trainer.training.run", "tests.support.ranks"])
    errors = [directory / f"rank{rank}.err" for rank in range(2)]
    ranks = [
        server.Process(
            target=_run_rank,
            args=(common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, [command_line, "run", str(path)], error),
        )
        for rank, error in enumerate(errors)
    ]
    for rank in ranks:
        rank.start()
    try:
        deadline = time.monotonic() + _TIMEOUT_S
        while any(rank.is_alive() for rank in ranks) and not any(rank.exitcode for rank in ranks):
            assert time.monotonic() < deadline, f"the ranks wait for each other: {_ends(errors)}"
            time.sleep(0.1)
        assert [rank.exitcode for rank in ranks] == [0, 0], _ends(errors)  # one that failed leaves the other waiting
    finally:
        for rank in ranks:
            rank.kill()
            rank.join()


def _run_rank(environment: dict[str, str], words: list[str], errors: Path) -> None:
    """Becomes ``python -m words…`` in ``environment``, with its standard error in a file."""
    os.environ.clear()
    os.environ.update(environment)
    with errors.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 2)
    sys.argv[:] = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def _ends(errors: list[Path]) -> str:
    return "\n".join(f"{path.name}: …{path.read_text('utf-8')[-2000:]}" for path in errors if path.exists())
