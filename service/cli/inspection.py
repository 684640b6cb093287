"""``vqc inspection``: make, check, show, compare and store inspections. Nothing here needs a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.inspection_versions import VERSION_COMMANDS

if TYPE_CHECKING:
    from vqc.inspection import Inspection
    from vqc.missions import ActiveInspections


@click.group()
def inspection() -> None:
    """Make, check, show and compare inspections: an operator's own missions and prompts.

    VQC_INSPECTIONS names the active ones, separated by colons: directories, names of shipped ones, or versions in VQC_REGISTRY
    (inspection/NAME for the active one, inspection/NAME@VERSION).
    """


for command in VERSION_COMMANDS:
    inspection.add_command(command)


@inspection.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the new inspection: small letters, digits and hyphens.")
@click.option("--from", "source", help="Inspection to copy: a directory or a shipped name. Default: the shipped one.")
def new(directory: Path, name: str, source: str | None) -> None:
    """Write a new inspection to DIRECTORY, as a copy to be edited.

    Missions that you leave as they are stay known to the checkpoints that were trained on them. A mission that you add or
    change is served too; its answers say `trained: false`, and its tickets go to a person.
    """
    from vqc.inspection_files import copy_inspection

    made = copy_inspection(source, directory, name)
    click.echo(f"{directory}: {made.name} {made.header.version} with {len(made.missions)} missions")
    click.echo(f"edit missions.yaml, then: vqc inspection check {directory}")


@inspection.command()
@click.argument("names", nargs=-1, metavar="[DIRECTORY]...")
def check(names: tuple[str, ...]) -> None:
    """Check inspections, alone and together. Without DIRECTORY: the active ones.

    The first problem is reported with its file, its field and what is valid; the exit code is then 2.
    """
    for one in _inspections_of(names).inspections:
        click.echo(f"{one.name} {one.header.version}: valid; {len(one.missions)} missions; {one.digest[:12]}")


@inspection.command()
@click.argument("names", nargs=-1, metavar="[DIRECTORY]...")
@click.option("--prompts", "mission", help="Also print the exact prompts of this mission.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(names: tuple[str, ...], mission: str | None, as_json: bool) -> None:
    """Show the missions of inspections with their key items. Without DIRECTORY: the active ones."""
    from vqc.missions import mission_named
    from vqc.prompts import stage_a_prompt, stage_b_prompt

    chosen = _inspections_of(names)
    if as_json:
        click.echo(json.dumps([one.record for one in chosen.inspections], ensure_ascii=False, indent=2))
        return
    for one in chosen.inspections:
        click.echo(
            f"{one.name} {one.header.version} ({one.header.language}, {one.digest[:12]}) {one.header.description}"
        )
        for found in one.missions.values():
            items = ", ".join(item.name if item.required else f"({item.name})" for item in found.key_items)
            click.echo(f"  {found.name}\n    {found.requirement}\n    {items}")
    if mission is not None:
        asked = mission_named(mission)
        for task, prompt in (("Stage-A", stage_a_prompt(asked)), ("Stage-B", stage_b_prompt(asked))):
            click.echo(f"\n{task}, system:\n{prompt.system}\n\n{task}, user:")
            click.echo("\n".join(filter(None, [prompt.before, "[photos]", prompt.after])))


@inspection.command()
@click.argument("before")
@click.argument("after")
@click.option("--registry", "where", envvar="VQC_REGISTRY", metavar="WHERE", help="Registry of inspection/NAME.")
def diff(before: str, after: str, where: str | None) -> None:
    """Compare two inspections, and say what the difference means for checkpoints. Exit code 1 if they differ.

    Each is a directory, a shipped name, or a version in the registry (inspection/NAME, inspection/NAME@VERSION).
    """
    from vqc.inspection_files import differences

    lines = differences(_read_inspection(before, where), _read_inspection(after, where))
    for line in lines:
        click.echo(line)
    if lines:
        raise SystemExit(1)


def _inspections_of(names: tuple[str, ...]) -> ActiveInspections:
    from vqc.missions import activate, active

    return activate(names) if names else active()


def _read_inspection(name: str, where: str | None) -> Inspection:
    from vqc.missions import REFERENCE, named_inspection

    if where is None or not name.startswith((REFERENCE, "sha256:")):
        return named_inspection(name)
    from registry import open_registry
    from registry.inspections import read_inspection

    return read_inspection(open_registry(where), name)
