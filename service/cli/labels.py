"""``vqc groups export-labels``: reviewed tickets as labelled ones, for the training-free loop and its calibration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from service.cli.client import call, client_of, service_options

_PAGE = 200


@click.command("export-labels")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--mission", help="Export tickets of this mission only.")
@service_options
def export_labels(file: Path, mission: str | None, url: str, api_key: str | None, as_json: bool) -> None:
    """Write the reviewed tickets to FILE as JSON lines, labelled with the reviewer's verdict.

    Name FILE in stage_a_paths of a `vqc stage-b run` configuration; `vqc stage-b calibrate` works on the run. Each line also
    has the machine's verdict: if the two differ although the Stage-A lines support the machine, the run reports the label as
    doubtful. Withdrawn decisions are left out.
    """
    with client_of(url, api_key) as client:
        lines = [label_line(ticket) for ticket in _reviewed_tickets(client, mission)]
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    overruled = sum(line["machine_verdict"] not in (None, line["label"]) for line in lines)
    if as_json:
        click.echo(json.dumps({"file": str(file), "tickets": len(lines), "overruled": overruled}, ensure_ascii=False))
    else:
        click.echo(f"{len(lines)} tickets, {overruled} of them reviewed against the machine: {file}")


def label_line(ticket: dict[str, Any]) -> dict[str, Any]:
    """A reviewed ticket of ``GET /stage-b/groups/{id}`` as a labelled one. A photo without a line gets an empty one."""
    last = ticket["reviews"][-1]
    return {
        "mission": ticket["mission"],
        "group_id": ticket["ticket_id"] or ticket["id"],
        "label": last["verdict"],
        "per_image": {photo["image_id"]: photo["summary"] or "" for photo in ticket["photos"]},
        "machine_verdict": ticket["machine_verdict"],
        "review_reasons": ticket["review_reasons"],
        "reviewer": last["name"],
        "note": last["note"],
        "reviewed_at": last["at"],
        "group": ticket["id"],
    }


def _reviewed_tickets(client: Any, mission: str | None) -> Iterator[dict[str, Any]]:
    """Every reviewed ticket; of two with the same mission and ticket id the later one."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    page: dict[str, Any] = {"next": f"/stage-b/groups?state=reviewed&limit={_PAGE}"}
    while page["next"]:
        page = call(client, "GET", page["next"])
        for brief in page["groups"]:
            if mission in (None, brief["mission"]):
                found[brief["mission"], brief["ticket_id"] or brief["id"]] = brief
    for brief in found.values():
        ticket = call(client, "GET", f"/stage-b/groups/{brief['id']}")
        if ticket["state"] == "reviewed":
            yield ticket
