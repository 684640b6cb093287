"""What py-spy recorded of a process, as tables of functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tools.gpu_bench.commands import output_of

RATE = 100
"""Samples a second."""


async def record(py_spy: str, pid: int, seconds: int, out: Path, *options: str) -> str:
    """Folded stacks of all threads of a process, their names first; ``options`` are py-spy's. Needs the right to ptrace.

    Raises:
        RuntimeError: py-spy failed; the message is what it said.
    """
    await output_of(
        f"py-spy of {pid}", py_spy, "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(RATE),
        "--format", "raw", "--nonblocking", "--threads", "--function", *options, "--output", str(out),
    )  # fmt: skip
    return _taken(out)


def _taken(path: Path) -> str:
    text = path.read_text("utf-8", "replace")
    path.unlink()
    return text


def tables(folded: str, seconds: float, only: str = "", most: int = 25) -> list[str]:
    """Lines: each thread's share of the time, then the functions by the time in themselves and with what they called.

    Shares are of the samples that one thread would have made in ``seconds``; several threads can make more than 1, and what
    py-spy failed to read is missing. With ``only``, a thread's name that was recorded whether it ran or not, they are of what
    was read of it, and the functions its own.
    """
    threads, own, total = Counter[str](), Counter[str](), Counter[str]()
    for line in folded.splitlines():
        stack, _, number = line.rpartition(" ")
        if not number.isdigit():
            continue
        thread, *frames = stack.split(";")
        threads[thread] += int(number)
        if frames and only in thread:
            own[frames[-1]] += int(number)
            total.update(dict.fromkeys(frames, int(number)))
    samples = own.total() if only else RATE * seconds
    kinds: Iterable[tuple[str, Counter[str], int]] = (
        ("threads", threads, 8),
        ("self", own, most),
        ("total", total, most),
    )
    return [
        f"  {kind}: {count / max(samples, 1):.2f} {name}"
        for kind, found, top in kinds
        for name, count in found.most_common(top)
    ]
