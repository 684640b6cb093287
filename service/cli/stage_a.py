"""``vqc stage-a``: Stage-A lines of a folder of photos, as JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from service.cli.options import decoding_options, decoding_params, engine_options


@click.command("stage-a")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--mission", required=True, help="Exact name of the mission.")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSONL file to write, or to resume.",
)
@click.option("--concurrency", type=click.IntRange(1, 256), default=16, show_default=True, help="Photos in flight.")
@decoding_options
@engine_options
def stage_a(
    directory: Path,
    mission: str,
    output: Path,
    concurrency: int,
    decoding: dict[str, Any],
    **overrides: object,
) -> None:
    """Write one line {"image_id": …, "summary": …} for each photo below DIRECTORY.

    Photos that have a line in OUTPUT already are skipped. A photo that cannot be used is reported and gets no line; the
    exit code is then 1.
    """
    from service.cli.session import run_with_engine
    from service.cli.stage_a_files import photos_below, read_done
    from service.cli.stage_a_run import write_summaries
    from service.platform.settings import read_settings
    from vqc.missions import mission_named

    wanted = mission_named(mission)
    settings = read_settings(**overrides)
    params = decoding_params(decoding, settings.stage_a_max_new_tokens)
    photos = photos_below(directory)
    done = read_done(output)
    todo = {image_id: path for image_id, path in photos.items() if image_id not in done}
    failed: dict[str, str] = {}
    if todo:
        failed = run_with_engine(
            settings, lambda context: write_summaries(context, todo, wanted, params, output, concurrency)
        )
    written = len(todo) - len(failed)
    click.echo(
        f"{written} lines written to {output}, {len(photos) - len(todo)} were there already, {len(failed)} photos failed"
    )
    for image_id, reason in failed.items():
        click.echo(f"  {image_id}: {reason}", err=True)
    if failed:
        raise click.exceptions.Exit(1)
