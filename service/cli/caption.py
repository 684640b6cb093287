"""``vqc caption``: the dense caption of photo files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from service.cli.options import decoding_options, decoding_params, engine_options


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--coordinates",
    type=click.Choice(["norm1000", "pixel"]),
    default="norm1000",
    show_default=True,
    help="Coordinate space.",
)
@click.option(
    "--overlay",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write pictures with the objects to this folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@decoding_options
@engine_options
def caption(
    photos: tuple[Path, ...],
    coordinates: str,
    overlay: Path | None,
    as_json: bool,
    decoding: dict[str, Any],
    **overrides: object,
) -> None:
    """Caption each PHOTO: print every object with its box, quad or line.

    A photo that cannot be used is reported, the others are captioned, and the exit code is 1.
    """
    from service.cli.caption_files import caption_files
    from service.cli.session import run_with_engine
    from service.platform.settings import read_settings

    settings = read_settings(**overrides)
    params = decoding_params(decoding, settings.caption_max_new_tokens)
    if overlay is not None:
        overlay.mkdir(parents=True, exist_ok=True)
    answers = run_with_engine(
        settings,
        lambda context: caption_files(context, photos, params, coordinates, overlay),  # type: ignore[arg-type]
    )
    if as_json:
        click.echo(json.dumps(answers, ensure_ascii=False, indent=2))
    else:
        for answer in answers:
            _print(answer)
    if any("problem" in answer for answer in answers):
        raise click.exceptions.Exit(1)


def _print(answer: dict) -> None:
    click.echo(click.style(answer["photo_file"], bold=True))
    if problem := answer.get("problem"):
        click.echo(f"  {problem['title']}: {problem['detail']}", err=True)
        return
    for key, item in answer["caption"].items():
        shape = next(f"{kind} {item[kind]}" for kind in ("bbox_2d", "quad", "line") if kind in item)
        click.echo(f"  {key}  {item['desc']}  {shape}")
    if not answer["caption"]:
        click.echo("  no objects")
    for note in answer["notes"]:
        click.echo(f"  note: {note}")
