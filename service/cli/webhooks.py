"""``vqc webhooks``: deliveries of webhooks of a running service."""

from __future__ import annotations

import json

import click

from service.cli.client import call, client_of, service_options

_STATES = ["retrying", "delivered", "failed"]


@click.group()
def webhooks() -> None:
    """List deliveries of webhooks, and send them again."""


@webhooks.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only deliveries in this state.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Maximum number.")
@service_options
def list_deliveries(state: str | None, limit: int, url: str, api_key: str | None, as_json: bool) -> None:
    """Print the deliveries, newest ticket first: id, state, attempts, last attempt, host and why it failed."""
    query = {"limit": limit} | ({"state": state} if state else {})
    with client_of(url, api_key) as client:
        page = call(client, "GET", "/stage-b/webhooks", params=query)
    if as_json:
        click.echo(json.dumps(page, ensure_ascii=False, indent=2))
        return
    for one in page["deliveries"]:
        shown = [one["id"], one["state"], f"{one['attempts']} attempts", one["at"], one["host"], one["problem"]]
        click.echo("  ".join(filter(None, shown)))


@webhooks.command()
@click.argument("ids", nargs=-1)
@click.option("--failed", is_flag=True, help="Send every delivery again that has failed.")
@service_options
def resend(ids: tuple[str, ...], failed: bool, url: str, api_key: str | None, as_json: bool) -> None:
    """Send the deliveries IDS again. A receiver sees the same webhook-id and recognises a repetition."""
    if bool(ids) == failed:
        raise click.UsageError("name deliveries, or use --failed")
    with client_of(url, api_key) as client:
        wanted, path = list(ids), "/stage-b/webhooks?state=failed&limit=200" if failed else None
        while path:
            page = call(client, "GET", path)
            wanted += [one["id"] for one in page["deliveries"]]
            path = page["next"]
        for one in wanted:
            call(client, "POST", f"/stage-b/webhooks/{one}/resend")
    click.echo(json.dumps({"queued": wanted}) if as_json else f"{len(wanted)} queued")
