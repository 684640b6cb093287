"""``push``, ``pull`` and ``gc``: commands that copy or delete files."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import click

from registry.cli.options import bars, json_option, print_json, registry_at, registry_option, summary
from vqc.errors import InvalidValue


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--alias", metavar="NAME", help="Alias to point at the version.")
@click.option("--base", metavar="REF", help="The version it builds on; required for a peft adapter.")
@click.option(
    "--inspection",
    "names",
    multiple=True,
    metavar="NAME",
    help="Inspection that it is served with: a directory, a shipped name, or a version in the registry (inspection/NAME). "
    "Repeatable. [default: those of VQC_INSPECTIONS that it was trained under]",
)
@click.option("--no-inspection", is_flag=True, help="Bring no inspection: it is served with those of VQC_INSPECTIONS.")
@click.option("--actor", metavar="NAME", help="Recorded in the log. [default: user@host]")
@registry_option
@json_option
def push(
    directory: Path,
    alias: str | None,
    base: str | None,
    names: tuple[str, ...],
    no_inspection: bool,
    actor: str | None,
    where: str,
    as_json: bool,
) -> None:
    """Store DIRECTORY (a Hugging Face model or a peft adapter) as a version; prints its digest.

    Pushing it again is fast and prints the same digest. The inspections that it was trained under are stored
    too. The version names them, and a service gets them with it. Optimizer states, logs and trainer arguments are left out;
    pickles, code, links that leave DIRECTORY, and a model that could not be loaded are refused.
    """
    from registry.checkpoint import read_checkpoint
    from registry.inspections import inspections_for_push

    checkpoint = read_checkpoint(directory)
    left_out = checkpoint.left_out
    registry = registry_at(where)
    brought = [] if no_inspection else inspections_for_push(registry, checkpoint.facts.contract, names, actor)
    with bars() as progress:
        version = registry.push(directory, alias=alias, base=base, inspections=brought, actor=actor, progress=progress)
    if as_json:
        print_json(summary(version, registry.aliases()) | {"left_out": left_out})
        return
    if left_out:
        click.echo(f"left out: {', '.join(left_out)}", err=True)
    click.echo(version.digest)


@click.command()
@click.argument("ref")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace the model in OUT once the new one is complete.")
@registry_option
@json_option
def pull(ref: str, out: Path, replace: bool, where: str, as_json: bool) -> None:
    """Create OUT as a verified directory of version REF, for vLLM or transformers.

    Weights are hard links into a registry on the same file system: do not edit them in place. After an interruption, run
    the same command again.
    """
    registry = registry_at(where)
    digest = registry.resolve(ref)
    new = out
    if replace and out.is_dir() and any(out.iterdir()):
        if not (out / "config.json").is_file():
            raise InvalidValue("out", str(out), "must be a directory with a model, empty, or not exist")
        new = out.with_name(f".{out.name}.next")
        shutil.rmtree(new, ignore_errors=True)
    with bars() as progress:
        registry.pull(digest, new, progress)
    if new != out:
        from registry.files import replace_directory

        replace_directory(new, out)
    if as_json:
        print_json({"digest": digest, "path": str(out)})
    else:
        click.echo(out)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
@click.option(
    "--older-than-hours",
    type=click.FloatRange(0),
    default=24.0,
    show_default=True,
    help="Keep versions that were pushed more recently.",
)
@registry_option
@json_option
def gc(dry_run: bool, older_than_hours: float, where: str, as_json: bool) -> None:
    """Remove unreferenced versions, and blobs of no version.

    Kept: what an alias names or named before its last move, leased versions, their bases, and what is attached to them.
    """
    removed = registry_at(where).gc(dry_run, older_than_s=older_than_hours * 3600)
    if as_json:
        print_json(asdict(removed) | {"dry_run": dry_run})
        return
    for digest in removed.versions:
        click.echo(digest)
    verb = "would free" if dry_run else "freed"
    click.echo(
        f"{len(removed.versions)} versions, {len(removed.blobs)} blobs: {verb} {removed.freed_bytes:,} bytes", err=True
    )
