"""``vqc-bench registry``: push and pull against ``cp`` and a checksum of the same files, in pairs, in one run.

Every command is a process of its own, so that peak memory is that of the command alone. The registry writes to the disk before
it reports success (fsync); ``cp`` leaves that to the kernel, so the wait for the disk (``sync``) is measured separately.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import click

from loadtest.errors import BenchFailed
from loadtest.report import table

SHARD_BYTES = 2 * 2**30
_BLOCK = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRow:
    """One pair. ``sync_s`` is the wait for the disk after ``cp``; ``ours_s`` includes it."""

    step: str
    gib: float
    cp_s: float
    sync_s: float
    checksum_s: float
    ours_s: float
    ours_peak_rss_mb: float

    @property
    def ratio(self) -> float:
        """Ours ÷ ``cp`` and checksum, without the wait for the disk."""
        return self.ours_s / (self.cp_s + self.checksum_s)

    @property
    def durable_ratio(self) -> float:
        """Ours ÷ ``cp``, ``sync`` and checksum."""
        return self.ours_s / (self.cp_s + self.sync_s + self.checksum_s)


@click.command()
@click.option("--gib", type=click.FloatRange(0.001, 1000), default=8.0, show_default=True, help="Size of the model.")
@click.option("--rounds", type=click.IntRange(1, 20), default=2, show_default=True, help="Pairs per step.")
@click.option(
    "--checksum",
    type=click.Choice(["sha256sum", "openssl"]),
    default="sha256sum",
    show_default=True,
    help="The command after cp; openssl uses the processor's SHA instructions, Debian 12's sha256sum does not.",
)
@click.option("--cold", is_flag=True, help="Empty the page cache before each measurement (root).")
@click.option(
    "--work",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/tmp"),
    show_default=True,
    help="Directory for the files, which are deleted afterwards.",
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def registry(gib: float, rounds: int, checksum: str, cold: bool, work: Path, as_document: bool) -> None:
    """Push and pull of a model with random weights against cp and a checksum of the same files."""
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        rows = list(measure(work, gib=gib, rounds=rounds, checksum=checksum, cold=cold, progress=status.update))
    if as_document:
        documents = [{**asdict(row), "ratio": row.ratio, "durable_ratio": row.durable_ratio} for row in rows]
        click.echo(json.dumps(documents, indent=2))
        return
    headings = ["step", "cp s", "sync s", f"{checksum} s", "ours s", "ratio", "with sync", "peak RSS MB"]
    steps = table(headings, left=["step"])
    for row in rows:
        seconds = (row.cp_s, row.sync_s, row.checksum_s, row.ours_s, row.ratio, row.durable_ratio)
        steps.add_row(row.step, *(f"{value:.2f}" for value in seconds), f"{row.ours_peak_rss_mb:.0f}")
    Console().print(steps)


def measure(
    work: Path, *, gib: float, rounds: int, checksum: str, cold: bool, progress: Callable[[str], None]
) -> Iterator[RegistryRow]:
    """A row for each push, second push and pull of ``rounds`` rounds. ``work`` needs room for three times ``gib``.

    Raises:
        BenchFailed: a command failed, or there is not enough room.
    """
    needed = int(3.2 * gib * 2**30)
    if (free := shutil.disk_usage(work).free) < needed:
        raise BenchFailed(
            f"{work} has {free / 2**30:.1f} GiB free and this needs {needed / 2**30:.1f}; name another --work"
        )
    with TemporaryDirectory(prefix="vqc-bench-registry-", dir=work) as folder:
        place = Path(folder)
        progress(f"writing {gib:g} GiB of random weights")
        model = write_model(place / "model", int(gib * 2**30))
        for number in range(1, rounds + 1):
            registry, out = place / "registry", place / "out"
            for step, words in (
                ("push", ["push", str(model), "--alias", "v1"]),
                ("push again", ["push", str(model)]),
                ("pull", ["pull", "v1", str(out)]),
            ):
                progress(f"round {number} of {rounds}: cp and {checksum}, then {step}")
                baseline = _time_baseline(model, place / "copy", checksum, cold)
                _settle_cache(model, cold)
                ours_s, peak_mb = _time_ours(registry, words)
                yield RegistryRow(
                    step=step,
                    gib=gib,
                    cp_s=baseline[0],
                    sync_s=baseline[1],
                    checksum_s=baseline[2],
                    ours_s=ours_s,
                    ours_peak_rss_mb=peak_mb,
                )
            shutil.rmtree(registry)
            shutil.rmtree(out)


def write_model(directory: Path, size: int) -> Path:
    """Writes a model directory with ``size`` random bytes of weights in shards of 2 GiB, and returns it."""
    directory.mkdir()
    sizes = [min(SHARD_BYTES, size - start) for start in range(0, size, SHARD_BYTES)]
    names = [f"model-{number + 1:05}-of-{len(sizes):05}.safetensors" for number in range(len(sizes))]
    for name, length in zip(names, sizes, strict=True):
        header = json.dumps({f"w{name}": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}}).encode()
        with (directory / name).open("wb", buffering=0) as file:
            file.write(struct.pack("<Q", len(header)) + header)
            for start in range(0, length, _BLOCK):
                file.write(os.urandom(min(_BLOCK, length - start)))
    index = {"metadata": {}, "weight_map": {f"w{name}": name for name in names}}
    for name, content in {
        "config.json": {"model_type": "qwen3_vl", "architectures": ["Qwen3VLForConditionalGeneration"]},
        "model.safetensors.index.json": index,
        "tokenizer.json": {"model": {"type": "BPE", "vocab": {}, "merges": []}},
        "tokenizer_config.json": {"chat_template": "{{ messages }}"},
    }.items():
        (directory / name).write_text(json.dumps(content))
    os.sync()
    return directory


def _time_baseline(model: Path, copy: Path, checksum: str, cold: bool) -> tuple[float, float, float]:
    """Seconds of ``cp``, of the wait for the disk, and of the checksum of the copy."""
    _settle_cache(model, cold)
    copy_s, _ = time_command(["cp", "-r", str(model), str(copy)])
    sync_s, _ = time_command(["sync", "-f", str(copy)])
    program = {"sha256sum": ["sha256sum"], "openssl": ["openssl", "dgst", "-sha256"]}[checksum]
    checksum_s, _ = time_command([*program, *map(str, sorted(copy.iterdir()))])
    shutil.rmtree(copy)
    return copy_s, sync_s, checksum_s


def _time_ours(registry: Path, words: Sequence[str]) -> tuple[float, float]:
    return time_command([sys.executable, "-m", "registry.cli", *words, "--registry", str(registry), "--json"])


def _settle_cache(model: Path, cold: bool) -> None:
    """Flushes all writes; then fills the page cache with the model's files or, with ``cold``, empties it."""
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


def time_command(words: Sequence[str]) -> tuple[float, float]:
    """Runs a command; its wall seconds and peak resident memory (MiB).

    Raises:
        BenchFailed: it cannot start, or fails.
    """
    started = perf_counter()
    try:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError as error:
        raise BenchFailed(f"{words[0]} cannot be started: {error}") from error
    assert process.stderr is not None
    errors = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)  # Popen.wait() does not report the peak memory of this one process
    seconds = perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise BenchFailed(f"{' '.join(words[:4])} … failed: {errors.strip()[-500:]}")
    return seconds, usage.ru_maxrss / 1024
