"""POST /caption: requests and responses."""

import base64
import io
import json

import pytest
from PIL import Image

from service.photos.schemas import CaptionOut, StreamedObject
from tests.support import photos
from tests.support.service_context import client_of, context_with
from vqc.image import PhotoLimits

PHOTO = photos.jpeg((320, 248))


def as_json(data: bytes, **fields) -> dict:
    return {"photo": {"base64": base64.b64encode(data).decode(), **fields}}


async def posted(client, data=PHOTO, **options):
    return await client.post("/caption", files={"photo": ("a.jpg", data)}, **options)


async def test_json_and_multipart_return_the_same_caption(client):
    answers = [await posted(client), await client.post("/caption", json=as_json(PHOTO))]
    assert [answer.status_code for answer in answers] == [200, 200]
    captions = [CaptionOut.model_validate_json(answer.content) for answer in answers]
    assert captions[0].caption == captions[1].caption
    assert captions[0].caption
    assert (captions[0].photo.width, captions[0].photo.height) == (320, 248)
    assert captions[0].model.alias == "champion"
    assert len(captions[0].prompt_digest) == 64


async def test_a_data_url_is_accepted(client):
    body = {"photo": {"base64": "data:image/jpeg;base64," + base64.b64encode(PHOTO).decode()}}
    assert (await client.post("/caption", json=body)).status_code == 200


async def test_pixel_coordinates_are_norm1000_scaled_to_the_photo(client):
    norm, pixel = [(await posted(client, params={"coordinates": space})).json() for space in ("norm1000", "pixel")]
    for key, item in norm["caption"].items():
        kind = next(kind for kind in ("bbox_2d", "quad", "line") if kind in item)
        scaled = [round(v * side / 1000, 1) for v, side in zip(item[kind], (320, 248) * 32, strict=False)]
        assert pixel["caption"][key][kind] == scaled


async def test_a_stream_sends_each_object_and_then_the_whole(client):
    answer = await posted(client, headers={"Accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in answer.text.strip().split("\n\n")]
    assert [event["event"] for event in events] == ["object"] * (len(events) - 1) + ["done"]
    done = CaptionOut.model_validate_json(events[-1]["data"])
    streamed = [StreamedObject.model_validate_json(event["data"]) for event in events[:-1]]
    assert [item.n for item in streamed] == list(range(1, len(done.caption) + 1))
    assert [item.object for item in streamed] == list(done.caption.values())


async def test_overlay_is_a_picture_of_the_upright_photo(client):
    answer = await posted(client, photos.oriented(6), params={"render": "overlay"})
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-vqc-model"] == "champion@" + "d" * 64
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.width >= 64


async def test_every_response_names_request_model_prompt_and_timings(client):
    answer = await posted(client, headers={"X-Request-Id": "my-id"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "my-id"
    assert "engine;dur=" in answer.headers["server-timing"]
    assert answer.headers["x-vqc-prompt-digest"] == answer.json()["prompt_digest"]


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_every_orientation_is_seen_upright(client, orientation):
    seen = (await posted(client, photos.oriented(orientation))).json()["photo"]
    assert (seen["width"], seen["height"]) == (64, 48)


STATUS = {"too-many-bytes": 413, "unsupported-format": 415}


@pytest.mark.parametrize("name", photos.BAD)
async def test_a_bad_photo_is_a_problem_that_names_its_reason(client, engine, name):
    for answer in (
        await posted(client, photos.BAD[name]),
        await client.post("/caption", json=as_json(photos.BAD[name])),
    ):
        reason = photos.REASONS[name]
        assert answer.status_code == STATUS.get(reason, 422)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == f"urn:vqc:problem:photo-{reason}"
        assert answer.json()["valid"]
    assert not engine.requests


async def test_a_photo_over_the_byte_limit():
    from engine.scripted import ScriptedEngine

    async with client_of(context_with(ScriptedEngine(), limits=PhotoLimits(max_bytes=1000))) as client:
        answer = await posted(client)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:vqc:problem:photo-too-many-bytes")


@pytest.mark.parametrize(
    ("data", "passes"), [(photos.encoded(photos.scene().convert("CMYK"), "JPEG"), True), (photos.sixteen_bit(), False)]
)
async def test_photos_of_other_modes_are_converted_by_the_engine_or_before_it(client, data, passes):
    answer = await posted(client, data)
    assert (answer.status_code, answer.json()["photo"]["passed_through"]) == (200, passes)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"photo": {"base64": "not base64!"}}, "photo.base64"),
        ({"photo": {"base64": "abc"}}, "photo.base64"),
        ({"photo": {}}, "photo"),
        ({"photo": {"base64": "aGk=", "url": "https://a.example.com/x"}}, "photo"),
        ({"photo": {"base64": "aGk="}, "modle": "x"}, "modle"),
        ({}, "photo"),
        ([], "body"),
    ],
)
async def test_a_wrong_body_names_the_field(client, body, field):
    answer = await client.post("/caption", json=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:vqc:problem:invalid-value")
    assert answer.json()["field"] == field


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"coordinates": "metres"}, "coordinates"),
        ({"temperature": "3"}, "temperature"),
        ({"max_new_tokens": "0"}, "max_new_tokens"),
        ({"model": "other"}, "model"),
        ({"render": "overlay", "_accept": "text/event-stream"}, "render"),
    ],
)
async def test_a_wrong_query_names_the_field(client, params, field):
    accept = params.pop("_accept", "*/*") if "_accept" in params else "*/*"
    answer = await posted(client, params=params, headers={"Accept": accept})
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_not_json_at_all(client):
    answer = await client.post("/caption", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    answer = await client.post("/caption", content=b"x", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:vqc:problem:unsupported-media-type")
    answer = await client.post("/caption", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert answer.status_code == 400


async def test_a_form_field_that_is_not_known(client):
    answer = await client.post("/caption", files={"photo": ("a.jpg", PHOTO)}, data={"coordinates": "pixel"})
    assert (answer.status_code, answer.json()["field"]) == (422, "coordinates")


async def test_a_photo_sent_as_text(client):
    answer = await client.post("/caption", data={"photo": "x"}, files={"other": ("a", b"")})
    assert answer.status_code == 422


async def test_a_truncated_answer_keeps_its_objects():
    from engine.scripted import ScriptedEngine

    text = '{"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}, "object_2": {"bb'
    async with client_of(context_with(ScriptedEngine(lambda request, index: text))) as client:
        answer = (await posted(client)).json()
    assert (answer["status"], answer["truncated"], list(answer["caption"])) == ("repaired", True, ["object_1"])


async def test_an_answer_that_is_not_a_caption_is_a_bad_gateway():
    from engine.scripted import ScriptedEngine

    async with client_of(context_with(ScriptedEngine(lambda request, index: "抱歉"))) as client:
        answer = await posted(client)
        streamed = await posted(client, headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.json()["type"]) == (502, "urn:vqc:problem:answer-malformed")
    assert streamed.status_code == 502


async def test_an_error_after_the_first_object_ends_the_stream_with_a_problem():
    from engine.scripted import ScriptedEngine

    class Failing(ScriptedEngine):
        async def stream(self, request):
            from engine.errors import EngineUnavailable

            async for delta in super().stream(request):
                yield delta
                if "}" in delta.text:
                    raise EngineUnavailable("gone")

    async with client_of(context_with(Failing(token_interval_s=0.0001))) as client:
        answer = await posted(client, headers={"Accept": "text/event-stream"})
    last = answer.text.strip().split("\n\n")[-1]
    assert last.startswith("event: error")
    assert json.loads(last.partition("data: ")[2])["status"] == 503
