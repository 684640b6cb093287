"""The ticket routes on the memory store: submission, rejection, lists, events and scopes."""

import asyncio
import base64
import json
from datetime import UTC, datetime

import httpx
import pytest

from engine.scripted import ScriptedEngine
from service.tickets.store import Event
from service.tickets.ticket import Failure, Outcome, State, Ticket
from service.web.auth import Scope
from service.web.key_file import create_key, read_keys
from tests.support import photos
from tests.support.service_context import client_of, context_with
from vqc.verdict import Verdict

MISSION = "挡风板安装检查"
LINE = "BBU设备/华为,显示完整×1"
TICKET = {"mission": MISSION, "photos": [{"summary": LINE}]}


@pytest.fixture
def context():
    return context_with(ScriptedEngine())


@pytest.fixture
async def client(context):
    async with client_of(context) as client:
        yield client


async def accepted(client: httpx.AsyncClient, body=TICKET, **headers) -> dict:
    answer = await client.post("/stage-b/groups", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/stage-b/groups/{answer.json()['id']}"
    return answer.json()


def outcome(*reasons: str) -> Outcome:
    return Outcome(
        verdict=Verdict.PASS,
        reason="挡风板安装方向正确",
        score=0.9,
        vote_share=1.0,
        threshold=0.8,
        review_reasons=reasons,
        selection={"sampled": 4},
        trajectories=({"candidate_index": 0},),
    )


async def move(context, group_id: str, *steps) -> Ticket:
    """Takes a ticket through steps as a worker would; the last one ends its run."""
    for step in steps:
        name = "finished" if step is steps[-1] else "step"
        ticket = await context.tickets.store.update(
            group_id, lambda record, step=step, name=name: (step(record), [Event(name=name)])
        )
    return ticket


def judged(*reasons):
    return lambda record: record.with_outcome(record.fence, outcome(*reasons), datetime.now(UTC))


async def test_a_ticket_of_summaries_is_taken_and_queued(client, context):
    ticket = await accepted(client)
    assert (ticket["state"], ticket["verdict"], ticket["run"]) == ("queued", None, 1)
    assert ticket["photos"] == [
        {"image_id": "image_1", "name": None, "digest": None, "summary": LINE, "given": True, "problem": None}
    ]
    assert list(context.tickets.queue.judging) == [f"{ticket['id']}.1"]
    assert (await client.get(f"/stage-b/groups/{ticket['id']}")).json() == ticket


async def test_photos_come_as_base64_and_summaries_beside_them(client, context):
    data = photos.jpeg((100, 80))
    body = {
        "mission": MISSION,
        "ticket_id": "QC-1",
        "evidence": "both",
        "photos": [
            {"name": "a", "base64": base64.b64encode(data).decode()},
            {"base64": base64.b64encode(data).decode(), "summary": LINE},
        ],
    }
    ticket = await accepted(client, body)
    assert [photo["summary"] for photo in ticket["photos"]] == [None, LINE]
    assert (ticket["ticket_id"], ticket["evidence"]) == ("QC-1", "both")
    kept = await context.tickets.submit._blobs.get(ticket["photos"][0]["digest"])
    assert kept == data


async def test_photos_come_as_files_with_a_part_that_names_their_lines(client):
    files = [("photos", (name, photos.jpeg((100, 80 + n)))) for n, name in enumerate(("a.jpg", "b.jpg"))]
    part = json.dumps({"mission": MISSION, "photos": [{"name": "b.jpg", "summary": LINE}]})
    answer = await client.post("/stage-b/groups", data={"group": part}, files=files)
    assert answer.status_code == 202
    assert [(photo["name"], photo["summary"]) for photo in answer.json()["photos"]] == [
        ("a.jpg", None),
        ("b.jpg", LINE),
    ]
    answer = await client.post("/stage-b/groups", data={"mission": MISSION}, files=files)
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"mission": "挡风板检查", "photos": [{"summary": LINE}]}, "mission"),
        ({"mission": MISSION, "photos": []}, "photos"),
        ({"mission": MISSION, "photos": [{"name": "a"}]}, "photos.0"),
        ({"mission": MISSION, "photos": [{"summary": LINE}] * 33}, "photos"),
        ({"mission": MISSION, "photos": [{"summary": ""}]}, "photos.0.summary"),
        ({"mission": MISSION, "photos": [{"summary": LINE}, {"base64": "aGk="}]}, "photos.1"),
        ({"mission": MISSION, "photos": [{"summary": LINE, "base64": "aGk=", "url": "https://a.b/"}]}, "photos.0"),
        ({"mission": MISSION, "photos": [{"url": "https://a.example.com/"}]}, "url"),
        ({**TICKET, "evidence": "images"}, "evidence"),
        ({**TICKET, "evidence": "x"}, "evidence"),
        ({**TICKET, "webhook": "https://a.example.com/"}, "webhook"),
        ({**TICKET, "guidance": "G0"}, "guidance"),
        ({**TICKET, "label": "通过"}, "label"),
    ],
)
async def test_what_cannot_be_judged_is_refused_with_its_field(client, context, body, field):
    answer = await client.post("/stage-b/groups", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field
    assert not context.tickets.queue.judging
    assert (await context.tickets.store.counts())[State.QUEUED] == 0


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "group"),
        ({"group": "{}", "mission": MISSION}, "group"),
        ({"group": "{"}, "body"),
        ({"group": json.dumps({"mission": MISSION, "photos": [{"name": "x.jpg", "summary": LINE}]})}, "photos.0.name"),
        ({"group": json.dumps({"mission": MISSION, "photos": [{"name": "a.jpg", "base64": "aGk="}]})}, "photos.0"),
        ({"mission": MISSION, "further": "1"}, "further"),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused_with_its_field(client, data, field):
    files = [("photos", ("a.jpg", photos.jpeg((100, 80))))]
    answer = await client.post("/stage-b/groups", data=data, files=files)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_the_same_key_and_body_is_one_ticket_and_another_body_a_conflict(client, context):
    first = await accepted(client, **{"Idempotency-Key": "k1"})
    again = await accepted(client, **{"Idempotency-Key": "k1"})
    other = await accepted(client, **{"Idempotency-Key": "k2"})
    assert first["id"] == again["id"] != other["id"]
    body = {**TICKET, "photos": [{"summary": "无关图片"}]}
    refused = await client.post("/stage-b/groups", json=body, headers={"Idempotency-Key": "k1"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:vqc:problem:idempotency-conflict")
    assert first["id"] in refused.json()["detail"]
    assert len(context.tickets.queue.judging) == 2


async def test_the_same_files_under_another_boundary_are_the_same_ticket(client):
    for _ in range(2):
        files = [("photos", ("a.jpg", photos.jpeg((100, 80))))]
        answer = await client.post(
            "/stage-b/groups", data={"mission": MISSION}, files=files, headers={"Idempotency-Key": "k"}
        )
        assert answer.status_code == 202


async def test_a_replay_queues_a_ticket_whose_job_was_lost(client, context):
    await accepted(client, **{"Idempotency-Key": "k"})
    context.tickets.queue.judging.clear()
    ticket = await accepted(client, **{"Idempotency-Key": "k"})
    assert list(context.tickets.queue.judging) == [f"{ticket['id']}.1"]


async def test_a_full_queue_says_when_to_come_again(client, context):
    context.tickets.submit._max_queued = 1
    await accepted(client)
    refused = await client.post("/stage-b/groups", json=TICKET)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")


async def test_the_review_queue_is_paged_and_decided(client, context):
    ids = [(await accepted(client))["id"] for _ in range(5)]
    for group_id in ids:
        await move(context, group_id, Ticket.claim, judged("divided_vote"))
    page = (await client.get("/stage-b/groups", params={"limit": 2})).json()
    assert (page["state"], page["total"], [one["id"] for one in page["groups"]]) == ("needs_review", 5, ids[:2])
    assert page["groups"][0]["machine_verdict"] == "通过"
    assert page["groups"][0]["verdict"] is None
    rest = []
    while page["next"]:
        page = (await client.get(page["next"])).json()
        rest += [one["id"] for one in page["groups"]]
    assert rest == ids[2:]
    decision = {"verdict": "不通过", "name": "王工", "note": "看不清"}
    decided = (await client.post(f"/stage-b/groups/{ids[0]}/review", json=decision)).json()
    assert (decided["state"], decided["verdict"], decided["machine_verdict"]) == ("reviewed", "不通过", "通过")
    second = await client.post(f"/stage-b/groups/{ids[0]}/review", json={"verdict": "通过", "name": "李工"})
    assert [(r["name"], r["verdict"], r["replaced"]) for r in second.json()["reviews"]] == [
        ("王工", "不通过", "通过"),
        ("李工", "通过", "不通过"),
    ]
    assert (await client.get("/stage-b/groups")).json()["total"] == 4


async def test_cancel_and_retry_follow_the_machine(client, context):
    ticket = await accepted(client)
    path = f"/stage-b/groups/{ticket['id']}"
    refused = await client.post(f"{path}/retry")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:vqc:problem:group-state")
    assert "valid after 'queued'" in refused.json()["valid"]
    assert (await client.delete(path)).json()["state"] == "cancelled"
    assert (await client.delete(path)).status_code == 200
    again = await client.post(f"{path}/retry")
    assert (again.status_code, again.json()["run"], again.json()["state"]) == (202, 2, "queued")
    failure = Failure(kind="EngineFailed", detail="no")
    await move(
        context, ticket["id"], Ticket.claim, lambda record: record.fail(record.fence, failure, datetime.now(UTC))
    )
    dead = (await client.get("/stage-b/groups", params={"state": "failed"})).json()["groups"]
    assert dead[0]["failure"] == {"kind": "EngineFailed", "detail": "no"}
    assert (await client.post(f"{path}/retry")).json()["failure"] is None
    decided = await accepted(client)
    await move(context, decided["id"], Ticket.claim, judged())
    assert (await client.delete(f"/stage-b/groups/{decided['id']}")).status_code == 409


@pytest.mark.parametrize("path", ["", "/events"])
async def test_an_unknown_ticket_is_404(client, path):
    answer = await client.get(f"/stage-b/groups/00aa{path}")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:vqc:problem:unknown-group")
    assert (await client.get(f"/stage-b/groups/..{path}")).status_code in (404, 405, 422)


async def test_events_are_sent_as_they_happen_and_end_with_the_run(client, context):
    ticket = await accepted(client)
    stream = asyncio.create_task(client.get(f"/stage-b/groups/{ticket['id']}/events"))
    await asyncio.sleep(0.05)
    assert not stream.done()
    await move(context, ticket["id"], Ticket.claim, judged())
    names = [line for line in (await stream).text.splitlines() if line.startswith("event: ")]
    assert names == ["event: accepted", "event: step", "event: finished"]


async def test_events_go_on_behind_the_last_one_seen(client, context):
    ticket = await accepted(client)
    await move(context, ticket["id"], Ticket.claim, judged())
    path = f"/stage-b/groups/{ticket['id']}/events"
    whole = (await client.get(path)).text.split("\n\n")
    for place, event in enumerate(whole[:-1]):
        last = event.splitlines()[0].removeprefix("id: ")
        rest = await client.get(path, headers={"Last-Event-ID": last})
        assert rest.text.split("\n\n")[:-1] == whole[place + 1 : -1]
        assert rest.status_code == (204 if place == len(whole) - 2 else 200)
    assert (await client.get(path, headers={"Last-Event-ID": "x"})).status_code == 422


async def test_a_draining_service_ends_its_streams(client, context):
    ticket = await accepted(client)
    stream = asyncio.create_task(client.get(f"/stage-b/groups/{ticket['id']}/events"))
    await asyncio.sleep(0.05)
    context.web.admission.draining = True
    assert (await asyncio.wait_for(stream, 120)).text.count("event: ") == 1


async def test_scopes_say_who_may_submit_decide_and_change_guidance(tmp_path):
    file = tmp_path / "keys.yaml"
    tokens = {scope: create_key(file, [scope], None, name="李工") for scope in Scope}
    context = context_with(ScriptedEngine(), keys=read_keys(file))

    async with client_of(context) as client:

        async def status(scope: Scope, method: str, path: str, **kwargs) -> int:
            headers = {"Authorization": f"Bearer {tokens[scope]}"}
            return (await client.request(method, path, headers=headers, **kwargs)).status_code

        assert await status(Scope.CAPTION, "POST", "/stage-b/groups", json=TICKET) == 403
        answer = await client.post(
            "/stage-b/groups", json=TICKET, headers={"Authorization": f"Bearer {tokens[Scope.STAGE_B]}"}
        )
        group_id = answer.json()["id"]
        key_id = tokens[Scope.STAGE_B].split("_")[1]
        assert (await context.tickets.store.get(group_id)).submitted_by == key_id
        await move(context, group_id, Ticket.claim, judged("divided_vote"))
        decision = {"verdict": "通过", "name": "王工"}
        path = f"/stage-b/groups/{group_id}/review"
        assert await status(Scope.STAGE_B, "POST", path, json=decision) == 403
        assert await status(Scope.REVIEW, "POST", path, json=decision) == 200
        kept = (await context.tickets.store.get(group_id)).reviews[0]
        assert (kept.name, kept.reviewer) == ("李工", tokens[Scope.REVIEW].split("_")[1])
        guidance = {"expected": "x", "rules": []}
        assert await status(Scope.STAGE_B, "PUT", f"/missions/{MISSION}/guidance", json=guidance) == 403
        assert (await client.get(f"/stage-b/groups/{group_id}")).status_code == 401


async def test_readiness_and_metrics_speak_of_the_queue(client, context):
    await accepted(client)
    page = (await client.get("/metrics")).text
    assert 'vqc_groups{state="queued"} 1.0' in page
    assert 'vqc_queue_jobs{kind="lag"} 1.0' in page
    assert "vqc_groups_accepted_total 1.0" in page

    async def away():
        from service.platform.errors import QueueUnavailable

        raise QueueUnavailable("connection refused")

    context.tickets.store.counts = away
    health = await client.get("/readyz")
    assert health.status_code == 503
    assert health.json()["reasons"] == ["the queue does not answer: connection refused"]
    assert (await client.get("/readyz/captions")).status_code == 200
    page = (await client.get("/metrics")).text
    assert "vqc_queue_up 0.0" in page
    assert "vqc_groups{" not in page
