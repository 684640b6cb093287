"""What the registry costs: push and pull against ``cp`` and a checksum of the same files, in pairs, in one run.

Everything runs as a process of its own, so that peak memory is that of the command alone. Ours writes to the disk before it
says done (fsync); ``cp`` leaves that to the kernel, so the wait for the disk (``sync``) is measured beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from loadtest.errors import BenchFailed

SHARD_BYTES = 2 * 2**30
_BLOCK = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One pair. Times in seconds; ``sync_s`` is the disk's wait after ``cp``, which ``ours_s`` includes."""

    step: str
    gib: float
    cp_s: float
    sync_s: float
    checksum_s: float
    ours_s: float
    ours_peak_rss_mb: float

    @property
    def ratio(self) -> float:
        """Ours to ``cp`` and checksum, without the wait for the disk."""
        return self.ours_s / (self.cp_s + self.checksum_s)

    @property
    def durable_ratio(self) -> float:
        """Ours to ``cp``, ``sync`` and checksum."""
        return self.ours_s / (self.cp_s + self.sync_s + self.checksum_s)


def measure(
    work: Path, *, gib: float, rounds: int, checksum: str, cold: bool, starting: Callable[[str], None]
) -> Iterator[Row]:
    """A row for each push, second push and pull of ``rounds`` rounds. ``work`` holds three times ``gib`` at its fullest.

    Raises:
        BenchFailed: a command failed, or there is too little room.
    """
    needed = int(3.2 * gib * 2**30)
    if (free := shutil.disk_usage(work).free) < needed:
        raise BenchFailed(
            f"{work} has {free / 2**30:.1f} GiB free and this needs {needed / 2**30:.1f}; name another --work"
        )
    with TemporaryDirectory(prefix="vqc-bench-registry-", dir=work) as folder:
        place = Path(folder)
        starting(f"writing {gib:g} GiB of random weights")
        model = write_model(place / "model", int(gib * 2**30))
        for number in range(1, rounds + 1):
            registry, out = place / "registry", place / "out"
            for step, words in (
                ("push", ["push", str(model), "--alias", "v1"]),
                ("push again", ["push", str(model)]),
                ("pull", ["pull", "v1", str(out)]),
            ):
                starting(f"round {number} of {rounds}: cp and {checksum}, then {step}")
                baseline = _baseline(model, place / "copy", checksum, cold)
                _settle(model, cold)
                ours_s, peak = _ours(registry, words)
                yield Row(
                    step=step,
                    gib=gib,
                    cp_s=baseline[0],
                    sync_s=baseline[1],
                    checksum_s=baseline[2],
                    ours_s=ours_s,
                    ours_peak_rss_mb=peak,
                )
            shutil.rmtree(registry)
            shutil.rmtree(out)


def write_model(directory: Path, size: int) -> Path:
    """A model directory with ``size`` random bytes of weights in shards of 2 GiB."""
    directory.mkdir()
    sizes = [min(SHARD_BYTES, size - start) for start in range(0, size, SHARD_BYTES)]
    names = [f"model-{number + 1:05}-of-{len(sizes):05}.safetensors" for number in range(len(sizes))]
    for name, length in zip(names, sizes, strict=True):
        header = json.dumps({"w": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}}).encode()
        with (directory / name).open("wb", buffering=0) as file:
            file.write(struct.pack("<Q", len(header)) + header)
            for start in range(0, length, _BLOCK):
                file.write(os.urandom(min(_BLOCK, length - start)))
    (directory / "config.json").write_text('{"model_type": "qwen3_vl"}')
    os.sync()
    return directory


def _baseline(model: Path, copy: Path, checksum: str, cold: bool) -> tuple[float, float, float]:
    """Seconds of ``cp``, of waiting for the disk, and of the checksum of the copy."""
    _settle(model, cold)
    copied, _ = timed(["cp", "-r", str(model), str(copy)])
    synced, _ = timed(["sync", "-f", str(copy)])
    program = {"sha256sum": ["sha256sum"], "openssl": ["openssl", "dgst", "-sha256"]}[checksum]
    summed, _ = timed([*program, *map(str, sorted(copy.iterdir()))])
    shutil.rmtree(copy)
    return copied, synced, summed


def _ours(registry: Path, words: Sequence[str]) -> tuple[float, float]:
    return timed([sys.executable, "-m", "registry.cli", *words, "--registry", str(registry), "--json"])


def _settle(model: Path, cold: bool) -> None:
    """Everything written is on disk; the model's files are in the page cache, or with ``cold`` nothing is."""
    os.sync()
    if cold:
        try:
            Path("/proc/sys/vm/drop_caches").write_text("3")
        except OSError as error:
            raise BenchFailed(f"only root can empty the page cache: {error}") from error
        return
    for path in model.iterdir():
        with path.open("rb", buffering=0) as file:
            while file.read(_BLOCK):
                pass


def timed(words: Sequence[str]) -> tuple[float, float]:
    """Wall seconds and peak resident memory (MiB) of a command.

    Raises:
        BenchFailed: it cannot be started or fails.
    """
    started = perf_counter()
    try:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError as error:
        raise BenchFailed(f"{words[0]} cannot be started: {error}") from error
    assert process.stderr is not None
    said = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    seconds = perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise BenchFailed(f"{' '.join(words[:4])} … failed: {said.strip()[-500:]}")
    return seconds, usage.ru_maxrss / 1024
