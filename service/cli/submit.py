"""``vqc stage-b submit``: gives a ticket to a running service."""

from __future__ import annotations

import json
from pathlib import Path

import click

from service.cli.client import service_options


@click.command("submit")
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--mission", required=True, help="Exact name of the mission the photos were taken for.")
@click.option("--summary", "summaries", multiple=True, help="The Stage-A line of a further photo; may be repeated.")
@click.option("--ticket-id", help="Your own name of the ticket.")
@click.option("--evidence", type=click.Choice(["summaries", "images", "both"]), help="What the model is shown.")
@click.option("--webhook", metavar="URL", help="Who is told of the final record.")
@click.option("--idempotency-key", metavar="KEY", help="The same key with the same body returns the same ticket.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Show what happens until the final record.")
@service_options
def submit(
    photos: tuple[Path, ...],
    mission: str,
    summaries: tuple[str, ...],
    ticket_id: str | None,
    evidence: str | None,
    webhook: str | None,
    idempotency_key: str | None,
    wait: bool,
    url: str,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Submit PHOTOS and summaries as one ticket and print its verdict.

    Exit code 3 when a person has to look, 1 when it failed or was cancelled.
    """
    from base64 import b64encode

    from service.cli.client import call, connected, followed
    from service.cli.groups import print_ticket
    from vqc.missions import mission_named

    body = {
        "mission": mission_named(mission).name,
        "ticket_id": ticket_id,
        "evidence": evidence,
        "webhook": webhook,
        "photos": [
            *({"name": photo.name, "base64": b64encode(photo.read_bytes()).decode()} for photo in photos),
            *({"summary": summary} for summary in summaries),
        ],
    }
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    with connected(url, api_key) as client:
        ticket = call(client, "POST", "/stage-b/groups", json=body, headers=headers)
        if wait:
            for name, data in followed(client, ticket["id"]):
                click.echo(f"{name}  {json.dumps(data, ensure_ascii=False)}", err=True)
            ticket = call(client, "GET", f"/stage-b/groups/{ticket['id']}")
    print_ticket(ticket, as_json=as_json)
    if code := {"needs_review": 3, "failed": 1, "cancelled": 1}.get(ticket["state"]):
        raise click.exceptions.Exit(code)
