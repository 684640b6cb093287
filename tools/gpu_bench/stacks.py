"""Recordings of a process by py-spy, as tables of functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tools.gpu_bench.commands import output_of

RATE = 100
"""Samples a second."""


async def record(py_spy: str, pid: int, seconds: int, out: Path, *options: str) -> str:
    """Folded stacks of all threads of a process, each starting with its name; ``options`` are py-spy's. Needs ptrace rights.

    Raises:
        RuntimeError: py-spy failed; the message has its output.
    """
    await output_of(
        f"py-spy of {pid}", py_spy, "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(RATE),
        "--format", "raw", "--nonblocking", "--threads", "--function", *options, "--output", str(out),
    )  # fmt: skip
    return _pop_text(out)


def _pop_text(path: Path) -> str:
    """The text of a file, which is deleted."""
    text = path.read_text("utf-8", "replace")
    path.unlink()
    return text


def tables(folded: str, seconds: float, only: str = "", most: int = 25) -> list[str]:
    """Lines: the share of each thread, then functions by their own time and by their time with callees.

    A share is relative to the samples of one busy thread in ``seconds``: several threads can exceed 1, and samples that py-spy
    failed to read are missing. With ``only``, the name of a thread that was recorded while idle too, shares are relative to the
    samples of this thread, and functions are its own.
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
