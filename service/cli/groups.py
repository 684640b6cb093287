"""``vqc groups``: reads and changes the tickets of a running service."""

from __future__ import annotations

import json
from typing import Any

import click

from service.cli.client import call, client_of, service_options
from service.cli.labels import export_labels

_STATES = ["queued", "running", "decided", "needs_review", "reviewed", "cancelled", "failed"]


@click.group()
def groups() -> None:
    """List, show, cancel, retry and review tickets; export reviewed ones."""


@groups.command("list")
@click.option(
    "--state", type=click.Choice(_STATES), default="needs_review", show_default=True, help="State of the tickets."
)
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Maximum number of tickets.")
@service_options
def list_tickets(state: str, limit: int, url: str, api_key: str | None, as_json: bool) -> None:
    """Print the tickets in a state, oldest first. needs_review is the review queue; failed tickets are dead letters."""
    with client_of(url, api_key) as client:
        page = call(client, "GET", "/stage-b/groups", params={"state": state, "limit": limit})
    if as_json:
        click.echo(json.dumps(page, ensure_ascii=False, indent=2))
        return
    click.echo(f"{page['total']} {state}")
    for ticket in page["groups"]:
        why = (ticket["failure"] or {}).get("detail") or ", ".join(ticket["review_reasons"])
        verdict = ticket["verdict"] or ticket["machine_verdict"] or ""
        click.echo("  ".join(filter(None, [ticket["id"], ticket["ticket_id"], ticket["mission"], verdict, why])))


@groups.command()
@click.argument("group_id")
@service_options
def show(group_id: str, url: str, api_key: str | None, as_json: bool) -> None:
    """Print a ticket."""
    _call_and_print("GET", group_id, "", url, api_key, as_json)


@groups.command()
@click.argument("group_id")
@service_options
def cancel(group_id: str, url: str, api_key: str | None, as_json: bool) -> None:
    """Cancel a ticket that has no final record yet."""
    _call_and_print("DELETE", group_id, "", url, api_key, as_json)


@groups.command()
@click.argument("group_id")
@service_options
def retry(group_id: str, url: str, api_key: str | None, as_json: bool) -> None:
    """Judge a failed or cancelled ticket again."""
    _call_and_print("POST", group_id, "/retry", url, api_key, as_json)


@groups.command()
@click.argument("group_id")
@click.option("--verdict", required=True, type=click.Choice(["通过", "不通过"]), help="The verdict.")
@click.option("--name", default="", help="Name of the reviewer, if the service has no keys; with a key, its holder.")
@click.option("--note", default="", help="Reason of the decision.")
@service_options
def review(group_id: str, verdict: str, name: str, note: str, url: str, api_key: str | None, as_json: bool) -> None:
    """Review a ticket."""
    body = {"verdict": verdict, "name": name, "note": note}
    _call_and_print("POST", group_id, "/review", url, api_key, as_json, json=body)


groups.add_command(export_labels)


def print_ticket(ticket: dict[str, Any], *, as_json: bool) -> None:
    """Prints one ticket, as JSON or as text."""
    if as_json:
        click.echo(json.dumps(ticket, ensure_ascii=False, indent=2))
        return
    click.echo(f"{ticket['id']}  {ticket['mission']}  {ticket['state']}  {ticket['verdict'] or ''}".rstrip())
    for photo in ticket["photos"]:
        click.echo(f"  {photo['name'] or photo['image_id']}: {photo['summary'] or photo['problem'] or 'no line yet'}")
    if ticket["reason"]:
        share = f"{ticket['vote_share']:.0%} of {ticket['selection']['sampled']} samples"
        click.echo(
            f"  理由: {ticket['reason']}  (machine: {ticket['machine_verdict']}, {share}, score {ticket['score']:.3f})"
        )
    for reason in ticket["review_reasons"]:
        items = f" ({'、'.join(ticket['missing'])})" if reason == "evidence_missing" else ""
        click.echo(f"  needs review: {reason}{items}")
    if ticket["failure"]:
        click.echo(f"  {ticket['failure']['kind']}: {ticket['failure']['detail']}")
    for decision in ticket["reviews"]:
        verdict = decision["verdict"] or "withdrawn"
        click.echo(f"  {decision['at']}  {decision['name']}: {verdict}  {decision['note']}".rstrip())


def _call_and_print(
    method: str, group_id: str, action: str, url: str, api_key: str | None, as_json: bool, **options: Any
) -> None:
    with client_of(url, api_key) as client:
        print_ticket(call(client, method, f"/stage-b/groups/{group_id}{action}", **options), as_json=as_json)
