"""Prints the comparison with ms-swift as tables; exit code 1 if there is an unexpected difference.

.venv-swift/bin/python -m tools.swift_parity [--checkpoint DIR]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from tools.swift_parity.compare import RESAMPLED, ParityRow, unexpected_differences
from tools.swift_parity.samples import Case, Fit, cases

PACKAGES = ("ms-swift", "qwen-vl-utils", "torch", "torchvision", "transformers", "pillow")
HEAD = ("sample", "tokens", "ms-swift's", "pixels, max (mean)", "our loss", "ms-swift's, answer only", "as trained")


def main() -> int:
    """Runs both sides on the same samples; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.swift_parity", description="Compare this trainer with ms-swift."
    )
    parser.add_argument("--checkpoint", type=Path, help="Qwen3-VL directory (default: a new tiny one)")
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("LOG_LEVEL", "ERROR")  # ms-swift's
    with tempfile.TemporaryDirectory() as scratch:
        differences = _compare(arguments.checkpoint or _tiny(Path(scratch) / "tiny"), Path(scratch) / "samples")
    for sentence in differences:
        print(f"unexpected: {sentence}", file=sys.stderr)
    print("\n" + (f"{len(differences)} unexpected differences" if differences else "no unexpected difference"))
    return 1 if differences else 0


def _compare(checkpoint: Path, directory: Path) -> list[str]:
    from tools.swift_parity.ours import Ours
    from tools.swift_parity.theirs import MsSwift

    samples, ours, theirs = cases(directory), Ours(checkpoint), MsSwift(checkpoint)
    print(f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES))

    def row(case: Case) -> ParityRow:
        return ParityRow(
            name=case.name,
            fit=case.fit,
            ours=ours.model_input(case),
            theirs=theirs.model_input(case),
            loss=ours.loss([case]),
            loss_answer=theirs.loss([case], newline=False),
            loss_newline=theirs.loss([case], newline=True),
        )

    with theirs.limits_of_the_checkpoint():
        limited = [row(case) for case in samples]
        batch = ours.loss(samples), theirs.loss(samples, newline=False), theirs.loss(samples, newline=True)
    unlimited = [row(case) for case in samples if case.fit in (Fit.OVER, Fit.UNDER)]
    print("\nms-swift with the checkpoint's pixel limits:", *table(limited, batch), sep="\n")
    print("\nms-swift with its own limits, photos outside the checkpoint's:", *table(unlimited), sep="\n")
    found = [sentence for row in limited for sentence in unexpected_differences(row, theirs.newline, limits=True)]
    found += [sentence for row in unlimited for sentence in unexpected_differences(row, theirs.newline, limits=False)]
    if not abs(batch[0] - batch[1]) <= RESAMPLED.loss:
        found.append(f"the loss of all samples in one batch, {batch[0]:.6f}, differs from {batch[1]:.6f}")
    return found


def table(rows: Iterable[ParityRow], batch: tuple[float, float, float] | None = None) -> list[str]:
    """Lines of a Markdown table: one row per sample, then the losses of all samples as one batch."""
    lines = [HEAD, ("---",) * len(HEAD)]
    for row in rows:
        pixels = "–" if row.levels is None else f"{row.levels:.0f} ({row.mean_levels:.4f})"
        counts = str(len(row.ours.ids)), f"{len(row.theirs.ids) - 1} + 1"
        lines.append((row.name, *counts, pixels, *_numbers(row.loss, row.loss_answer, row.loss_newline)))
    if batch is not None:
        lines.append(("all in one batch", "", "", "", *_numbers(*batch)))
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _numbers(*values: float) -> tuple[str, ...]:
    return tuple(f"{value:.6f}" for value in values)


def _tiny(directory: Path) -> Path:
    from trainer.tiny_checkpoint import build_tiny_checkpoint

    return build_tiny_checkpoint(directory)


if __name__ == "__main__":
    sys.exit(main())
