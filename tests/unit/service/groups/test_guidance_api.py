"""Missions and their guidance over HTTP."""

import pytest

from vqc.missions import missions

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


async def test_whoever_was_slower_is_told(client):
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
