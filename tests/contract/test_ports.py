"""Test processes that run side by side are given different ports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TAKE = """
import random
random.seed(1)  # every process tries the same ports in the same order
from tests.support.ports import free_port
print(*(free_port() for _ in range(40)), flush=True)
input()
"""


def test_no_two_processes_are_given_one_port() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(3)
    ]
    given = []
    for process in processes:
        assert process.stdout
        given.append({int(word) for word in process.stdout.readline().split()})
    for process in processes:
        process.communicate("\n")
    assert [len(ports) for ports in given] == [40] * 3
    assert len(set().union(*given)) == 120
