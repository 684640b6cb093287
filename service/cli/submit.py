"""``vqc stage-b submit``: submits a ticket to a running service."""

from __future__ import annotations

import json
from pathlib import Path

import click

from service.cli.client import service_options


@click.command("submit")
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--mission", required=True, help="Exact name of the mission.")
@click.option("--summary", "summaries", multiple=True, help="Stage-A line of another photo; may be repeated.")
@click.option("--ticket-id", help="Your own id of the ticket.")
@click.option("--evidence", type=click.Choice(["summaries", "images", "both"]), help="Evidence that the model sees.")
@click.option("--webhook", metavar="URL", help="HTTPS webhook URL on an allowed host (VQC_WEBHOOK_HOSTS).")
@click.option("--idempotency-key", metavar="KEY", help="The same key with the same body returns the same ticket.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Print events until the final record.")
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

    The exit code is 3 if the ticket needs a review, 1 if it failed or was cancelled.
    """
    from base64 import b64encode

    from service.cli.client import call, client_of, ticket_events
    from service.cli.file_names import read_photo, readable_name
    from service.cli.groups import print_ticket

    body = {
        "mission": mission,  # the service knows its missions; this machine may have other inspections
        "ticket_id": ticket_id,
        "evidence": evidence,
        "webhook": webhook,
        "photos": [
            *({"name": readable_name(photo.name), "base64": b64encode(read_photo(photo)).decode()} for photo in photos),
            *({"summary": summary} for summary in summaries),
        ],
    }
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    with client_of(url, api_key) as client:
        ticket = call(client, "POST", "/stage-b/groups", json=body, headers=headers)
        if wait:
            for name, data in ticket_events(client, ticket["id"]):
                click.echo(f"{name}  {json.dumps(data, ensure_ascii=False)}", err=True)
            ticket = call(client, "GET", f"/stage-b/groups/{ticket['id']}")
    print_ticket(ticket, as_json=as_json)
    if code := {"needs_review": 3, "failed": 1, "cancelled": 1}.get(ticket["state"]):
        raise click.exceptions.Exit(code)
