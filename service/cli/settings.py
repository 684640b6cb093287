"""``vqc settings``: the settings with their values and descriptions."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def settings(as_json: bool) -> None:
    """Print every setting with its value and description."""
    from service.platform.settings import Settings, read_settings

    values = read_settings().model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(values, ensure_ascii=False, indent=2))
        return
    for name, field in Settings.model_fields.items():
        click.echo(f"VQC_{name.upper()}={'' if values[name] is None else values[name]}\n    {field.description}")
