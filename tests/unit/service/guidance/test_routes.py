"""Missions and their guidance over HTTP."""

import pytest

from engine.scripted import ScriptedEngine
from service.web.auth import Scope
from service.web.key_file import create_key, read_keys
from tests.support.guidance_proposals import proposal
from tests.support.service_context import client_of, context_with
from vqc.missions import mission_named, missions

MISSION = "挡风板安装检查"
PATH = f"/missions/{MISSION}/guidance"


async def test_every_mission_is_named_with_its_guidance(client):
    found = (await client.get("/missions")).json()
    assert [mission["name"] for mission in found] == list(missions())
    seeded = (await client.get(PATH)).json()
    assert seeded["version"] == next(one["guidance"] for one in found if one["name"] == MISSION)
    assert (seeded["step"], seeded["rules"]) == (0, [])


async def test_rules_are_put_in_force_listed_and_rolled_back(client):
    first = (await client.get(PATH)).json()
    body = {"expected": first["version"], "rules": [{"text": "机柜空间不足时无需安装"}], "note": "看了 QC-1"}
    second = (await client.put(PATH, json=body)).json()
    assert second["rules"] == [{"id": "G0", "text": "机柜空间不足时无需安装", "evidence": []}]
    assert (await client.get(PATH)).json() == second
    listed = (await client.get(f"{PATH}/versions")).json()
    assert [(one["step"], one["in_force"]) for one in listed["versions"]] == [(0, False), (1, True)]
    assert listed["versions"][1]["changes"] == {"G0": [None, "机柜空间不足时无需安装"]}
    assert (listed["history"][0]["by"], listed["history"][0]["note"]) == ("anonymous", "看了 QC-1")
    back = await client.post(f"{PATH}/rollback", json={"expected": second["version"]})
    assert back.json()["version"] == first["version"]


async def test_the_slower_of_two_changes_gets_a_conflict(client):
    first = (await client.get(PATH)).json()["version"]
    body = {"expected": first, "rules": [{"text": "甲"}]}
    assert (await client.put(PATH, json=body)).status_code == 200
    late = await client.put(PATH, json={**body, "rules": [{"text": "乙"}]})
    assert (late.status_code, late.json()["type"]) == (409, "urn:vqc:problem:guidance-conflict")


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ([{"id": "G7", "text": "甲"}], "rules.id"),
        ([], "rules"),
        ([{"text": "甲\n乙"}], "rule.text"),
        ([{"text": "甲"}, {"text": "甲"}], "guidance.rules"),
    ],
)
async def test_rules_that_cannot_be_are_refused(client, rules, field):
    expected = (await client.get(PATH)).json()["version"]
    answer = await client.put(PATH, json={"expected": expected, "rules": rules})
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_an_unknown_mission_is_named_with_the_nearest(client):
    answer = await client.get("/missions/挡风板检查/guidance")
    assert answer.status_code == 422
    assert MISSION in answer.json()["valid"]


PROPOSALS = f"{PATH}/proposals"


@pytest.fixture
def context():
    return context_with(ScriptedEngine())


@pytest.fixture
def waiting(context):
    """A proposal that waits for a decision."""
    one = proposal()
    context.guidance.proposals.put(mission_named(MISSION), one)
    return one


async def test_a_proposal_is_listed_with_what_it_was_measured_to_do_and_approved_once(context, waiting):
    async with client_of(context) as client:
        (listed,) = (await client.get(PROPOSALS)).json()
        assert (listed["id"], listed["state"], listed["can_be_approved"]) == (waiting.id, "pending", True)
        assert listed["effect"]["error_after"] == waiting.effect.error_after
        assert listed["reflections"][0]["operations"]
        assert listed["base"] == (await client.get(PATH)).json()["version"]
        approved = await client.post(f"{PROPOSALS}/{waiting.id}/approve", json={"note": "看过"})
        assert (approved.status_code, approved.json()["state"]) == (200, "approved")
        assert approved.json()["decision"]["by"] == "anonymous"
        assert (await client.get(PATH)).json() == listed["guidance"]
        for decision in ("approve", "reject"):
            again = await client.post(f"{PROPOSALS}/{waiting.id}/{decision}")
            assert (again.status_code, again.json()["type"]) == (409, "urn:vqc:problem:proposal-decided")
        (listed,) = (await client.get(PROPOSALS)).json()
        assert (listed["state"], listed["can_be_approved"]) == ("approved", False)


async def test_a_rejected_proposal_changes_nothing(context, waiting):
    async with client_of(context) as client:
        before = (await client.get(PATH)).json()
        rejected = (await client.post(f"{PROPOSALS}/{waiting.id}/reject", json={"note": "太窄"})).json()
        assert (rejected["state"], rejected["decision"]["note"]) == ("rejected", "太窄")
        assert (await client.get(PATH)).json() == before


async def test_a_proposal_on_other_guidance_cannot_be_approved(context, waiting):
    async with client_of(context) as client:
        body = {"expected": (await client.get(PATH)).json()["version"], "rules": [{"text": "甲"}]}
        assert (await client.put(PATH, json=body)).status_code == 200
        assert not (await client.get(PROPOSALS)).json()[0]["can_be_approved"]
        late = await client.post(f"{PROPOSALS}/{waiting.id}/approve")
        assert (late.status_code, late.json()["type"]) == (409, "urn:vqc:problem:guidance-conflict")


async def test_deciding_needs_the_scope_admin(tmp_path):
    token = create_key(file := tmp_path / "keys.yaml", [Scope.REVIEW], None)
    headers = {"Authorization": f"Bearer {token}"}
    async with client_of(context_with(ScriptedEngine(), keys=read_keys(file))) as client:
        assert (await client.get(PROPOSALS, headers=headers)).json() == []
        for decision in ("approve", "reject"):
            answer = await client.post(f"{PROPOSALS}/{'0' * 16}/{decision}", headers=headers)
            assert answer.status_code == 403


async def test_an_unknown_proposal(client):
    answer = await client.post(f"{PROPOSALS}/{'0' * 16}/approve")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:vqc:problem:unknown-proposal")
