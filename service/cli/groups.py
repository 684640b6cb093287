"""``vqc groups``: looks at and changes the tickets of a running service."""

from __future__ import annotations

import json
from typing import Any

import click

from service.cli.client import call, connected, service_options
from service.cli.labels import export_labels

_STATES = ["queued", "running", "decided", "needs_review", "reviewed", "cancelled", "failed"]


@click.group()
def groups() -> None:
    """List, show, cancel, retry and decide on submitted tickets; export what people decided."""


@groups.command("list")
@click.option("--state", type=click.Choice(_STATES), default="needs_review", show_default=True)
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@service_options
def listed(state: str, limit: int, url: str, api_key: str | None, as_json: bool) -> None:
    """Print the tickets in a state, oldest first: needs_review waits for people, failed are dead letters."""
    with connected(url, api_key) as client:
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
    _changed("GET", group_id, "", url, api_key, as_json)


@groups.command()
@click.argument("group_id")
@service_options
def cancel(group_id: str, url: str, api_key: str | None, as_json: bool) -> None:
    """Cancel a ticket that has no final record yet."""
    _changed("DELETE", group_id, "", url, api_key, as_json)


@groups.command()
@click.argument("group_id")
@service_options
def retry(group_id: str, url: str, api_key: str | None, as_json: bool) -> None:
    """Judge a failed or cancelled ticket again."""
    _changed("POST", group_id, "/retry", url, api_key, as_json)


@groups.command()
@click.argument("group_id")
@click.option("--verdict", required=True, type=click.Choice(["通过", "不通过"]))
@click.option("--name", required=True, help="Who decides; kept in the record.")
@click.option("--note", default="", help="Why.")
@service_options
def review(group_id: str, verdict: str, name: str, note: str, url: str, api_key: str | None, as_json: bool) -> None:
    """Decide on a ticket."""
    body = {"verdict": verdict, "name": name, "note": note}
    _changed("POST", group_id, "/review", url, api_key, as_json, json=body)


groups.add_command(export_labels)


def print_ticket(ticket: dict[str, Any], *, as_json: bool) -> None:
    """One ticket, as JSON or for a person."""
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
        click.echo(f"  needs review: {reason}")
    if ticket["failure"]:
        click.echo(f"  {ticket['failure']['kind']}: {ticket['failure']['detail']}")
    for decision in ticket["reviews"]:
        verdict = decision["verdict"] or "taken back"
        click.echo(f"  {decision['at']}  {decision['name']}: {verdict}  {decision['note']}".rstrip())


def _changed(
    method: str, group_id: str, action: str, url: str, api_key: str | None, as_json: bool, **given: Any
) -> None:
    with connected(url, api_key) as client:
        print_ticket(call(client, method, f"/stage-b/groups/{group_id}{action}", **given), as_json=as_json)
