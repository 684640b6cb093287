"""POST /stage-a: order, isolation of bad photos, missions."""

import base64

import pytest

from engine.errors import EngineRefused, EngineUnavailable
from engine.scripted import ScriptedEngine
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.photos.schemas import StageAOut
from tests.support import photos
from tests.support.inspections import TOWER_LIGHT, copy_of_default, inspections
from tests.support.service_context import client_of, context_with
from vqc.summary import Status, parse

MISSION = "挡风板安装检查"


def files(*named):
    return [("photos", (name, data)) for name, data in named]


async def posted(client, *named, mission=MISSION, **options):
    return await client.post("/stage-a", data={"mission": mission}, files=files(*named), **options)


async def test_each_photo_gets_its_line_in_the_order_given(client):
    named = [(f"p{n}.jpg", photos.jpeg((100 + n, 80))) for n in range(16)]
    answer = StageAOut.model_validate_json((await posted(client, *named)).content)
    assert [(photo.image_id, photo.name) for photo in answer.photos] == [
        (f"image_{n + 1}", f"p{n}.jpg") for n in range(16)
    ]
    assert [photo.photo.width for photo in answer.photos] == [100 + n for n in range(16)]
    assert all(parse(photo.summary).status is Status.PARSED for photo in answer.photos)
    assert answer.mission == MISSION


async def test_an_operators_mission_is_answered_and_marked(tmp_path):
    with inspections(copy_of_default(tmp_path / "own", further=TOWER_LIGHT)):
        engine, model = ScriptedEngine(), ServedModel(alias="a", digest="d", untrained=frozenset({"塔灯检查"}))
        async with client_of(context_with(engine, models=ModelRouter.of(engine, model))) as client:
            for mission, trained in ((MISSION, True), ("塔灯检查", False)):
                answer = await posted(client, ("p", photos.jpeg()), mission=mission)
                assert answer.json()["trained"] is trained
            listed = {one["name"]: one["inspection"] for one in (await client.get("/missions")).json()}
            assert listed["塔灯检查"] == "telecom"


async def test_one_bad_photo_does_not_fail_the_others(client):
    answer = await posted(
        client, ("good", photos.jpeg()), ("bad", photos.BAD["truncated-jpeg"]), ("good2", photos.jpeg())
    )
    assert answer.status_code == 200
    assert [list(photo)[2] for photo in answer.json()["photos"]] == ["summary", "problem", "summary"]
    assert answer.json()["photos"][1]["problem"]["type"] == "urn:vqc:problem:photo-truncated"


async def test_json_photos_are_isolated_too(client):
    good = {"base64": base64.b64encode(photos.jpeg()).decode(), "name": "good"}
    bad = [{"base64": "%%%"}, {"url": "https://a.example.com/x.jpg"}]
    answer = await client.post("/stage-a", json={"mission": MISSION, "photos": [bad[0], good, bad[1]]})
    entries = answer.json()["photos"]
    assert [entry.get("problem", {}).get("type") for entry in entries] == [
        "urn:vqc:problem:invalid-value",
        None,
        "urn:vqc:problem:url-rejected",
    ]
    assert entries[0]["problem"]["field"] == "photos.0.base64"


async def test_a_photo_that_the_engine_rejects_fails_alone():
    def fail(request):
        return EngineRefused("cannot decode") if request.request_id.endswith("-2") else None

    async with client_of(context_with(ScriptedEngine(fail=fail))) as client:
        entries = (await posted(client, *[("x", photos.jpeg())] * 3)).json()["photos"]
    assert [entry.get("problem", {}).get("status") for entry in entries] == [None, 422, None]


async def test_an_unreachable_engine_fails_the_whole_request():
    engine = ScriptedEngine(fail=lambda request: EngineUnavailable("restarting", retry_after_s=7))
    async with client_of(context_with(engine)) as client:
        answer = await posted(client, ("x", photos.jpeg()), ("y", photos.jpeg()))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.json()["detail"] == "restarting"


async def test_an_unknown_mission_is_rejected_with_the_nearest_name(client):
    answer = await posted(client, ("x", photos.jpeg()), mission="挡风板安装检査")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:vqc:problem:unknown-mission")
    assert f"did you mean '{MISSION}'" in answer.json()["detail"]


@pytest.mark.parametrize("count", [0, 17])
async def test_a_request_holds_one_to_sixteen_photos(client, count):
    item = {"base64": base64.b64encode(photos.jpeg()).decode()}
    answer = await client.post("/stage-a", json={"mission": MISSION, "photos": [item] * count})
    assert (answer.status_code, answer.json()["field"]) == (422, "photos")
    if count:
        assert (await posted(client, *[("x", photos.jpeg())] * count)).status_code == 400


async def test_the_prompt_names_the_mission_and_comes_after_the_photo(client, engine):
    await posted(client, ("x", photos.jpeg()))
    request = engine.requests[-1]
    assert request.user[0].data == photos.jpeg()
    assert MISSION in request.user[1]
    assert request.priority > 0
