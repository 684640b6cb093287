"""``list``, ``show`` and ``verify``: which versions exist, and whether they are intact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.cli.options import bars, json_option, print_json, registry_at, registry_option, summary

if TYPE_CHECKING:
    from registry import Registry, Version


@click.command("list")
@registry_option
@json_option
def list_versions(where: str, as_json: bool) -> None:
    """List every version with its aliases."""
    registry = registry_at(where)
    aliases = registry.aliases()
    found = [summary(version, aliases) for version in registry.versions()]
    if as_json:
        print_json(found)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("digest", "aliases", "kind", "size", "run", "git revision")
    for version in found:
        facts = version["facts"]
        assert isinstance(facts, dict)
        table.add_row(
            str(version["digest"])[:19],
            ", ".join(version["aliases"]),  # type: ignore[arg-type]
            str(version["kind"]),
            f"{version['size_bytes']:,}",
            (facts["run"] or "")[:12],
            (facts["git_revision"] or "")[:12],
        )
    Console().print(table)


@click.command()
@click.argument("ref")
@registry_option
@json_option
def show(ref: str, where: str, as_json: bool) -> None:
    """Show one version: files, origin, the contract it was trained under, attachments."""
    registry = registry_at(where)
    document = version_document(registry, registry.version(ref))
    if as_json:
        print_json(document)
        return
    import yaml

    click.echo(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), nl=False)


@click.command()
@click.argument("ref")
@registry_option
@json_option
def verify(ref: str, where: str, as_json: bool) -> None:
    """Read every byte of version REF and of its base; exit code 1 names the first file that is damaged."""
    registry = registry_at(where)
    with bars() as progress:
        registry.verify(ref, progress)
    digest = registry.resolve(ref)
    if as_json:
        print_json({"digest": digest, "verified": True})
    else:
        click.echo(f"{digest}: every byte verified")


def version_document(registry: Registry, version: Version) -> dict[str, object]:
    """A version with its attachments, as ``show`` prints it."""
    attached = [
        {"digest": item.digest, "artifact_type": item.artifact_type, "created": item.created}
        for item in registry.referrers(version.digest)
    ]
    return summary(version, registry.aliases()) | {"attached": attached}
