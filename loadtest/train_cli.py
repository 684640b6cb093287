"""``vqc-bench train``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from loadtest.suites.train import VARIANTS, Load, measure

NAMES = [variant.name for variant in VARIANTS]


@click.command()
@click.option(
    "--model", default="tiny", show_default=True, help="Checkpoint directory; `vqc-train tiny OUT --size 4b` makes one."
)
@click.option(
    "--variant",
    "names",
    type=click.Choice(NAMES),
    multiple=True,
    help="Measure this one; default: all without Liger and uncompiled.",
)
@click.option("--rounds", type=click.IntRange(1, 20), default=2, show_default=True, help="Runs of each, by turns.")
@click.option("--steps", type=click.IntRange(1), default=20, show_default=True, help="Steps measured in a run.")
@click.option("--warmup", type=click.IntRange(1), default=5, show_default=True, help="Steps before them.")
@click.option("--photos", type=click.IntRange(4), default=64, show_default=True, help="Drawn photos to train on.")
@click.option("--width", type=click.IntRange(64, 8192), default=1024, show_default=True, help="Of a photo, pixels.")
@click.option("--height", type=click.IntRange(64, 8192), default=768, show_default=True, help="Of a photo, pixels.")
@click.option("--batch-size", type=click.IntRange(1), default=4, show_default=True, help="Samples of a padded batch.")
@click.option("--row-tokens", type=click.IntRange(64), default=8192, show_default=True, help="Of a packed row.")
@click.option(
    "--lora-rank", type=click.IntRange(1), default=32, show_default=True, help="On language model and aligner."
)
@click.option("--workers", type=click.IntRange(0), default=4, show_default=True, help="Data loading processes.")
@click.option(
    "--data", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Records instead of drawn photos."
)
@click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), help="Kept directory; default: a passing one."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def train(
    model: str,
    names: tuple[str, ...],
    rounds: int,
    steps: int,
    warmup: int,
    photos: int,
    width: int,
    height: int,
    batch_size: int,
    row_tokens: int,
    lora_rank: int,
    workers: int,
    data: Path | None,
    work: Path | None,
    as_document: bool,
) -> None:
    """Train the same photos with and without a teacher, packing and recomputation; speed and peak memory of each.

    MFU counts the student's operations alone, without recomputation. On a CPU memory is the process's.
    """
    from rich.console import Console

    from loadtest.report import as_json

    load = Load(
        model=model, photos=photos, size_wh=(width, height), steps=steps, warmup=warmup, batch_size=batch_size,
        row_tokens=row_tokens, lora_rank=lora_rank, workers=workers, data=data,
    )  # fmt: skip
    usual = [variant for variant in VARIANTS if not variant.liger and not variant.compiled]
    chosen = [variant for variant in VARIANTS if variant.name in names] if names else usual
    with tempfile.TemporaryDirectory(prefix="vqc-bench-train-") as passing, Console(stderr=True).status("") as status:
        place = work or Path(passing)
        place.mkdir(parents=True, exist_ok=True)
        rows = measure(place, load, chosen, rounds=rounds, starting=status.update)
    if as_document:
        click.echo(as_json(rows))
        return
    from rich import box
    from rich.table import Table

    table = Table(title=rows[0].device, box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False)
    for heading in ("variant", "ms", "p10", "p90", "samp/s", "tok/s", "TF/s", "MFU", "GiB"):
        table.add_column(heading, justify="left" if heading == "variant" else "right", no_wrap=True)
    for row in rows:
        times = (f"{value:,.0f}" for value in (row.step_ms, row.step_p10_ms, row.step_p90_ms))
        mfu = f"{row.mfu:.1%}" if row.mfu is not None else "–"
        speeds = (f"{row.samples_per_s:,.2f}", f"{row.tokens_per_s:,.0f}", f"{row.tflops_per_s:.3g}")
        table.add_row(row.variant, *times, *speeds, mfu, f"{row.peak_memory_gib:.1f}")
    Console().print(table)
