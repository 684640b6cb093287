"""Try it, without a browser: the page, its words, and the two calls behind it."""

import io
import re

import pytest
from PIL import Image

from engine.scripted import ScriptedEngine
from loadtest.photo_mutations import whole_photos
from service.console.tryit import SCRIPT_WORDS
from service.console.words import catalogue
from tests.support import photos
from tests.support.service_context import client_of, context_with
from vqc.errors import PhotoReason
from vqc.image import canonical_photo
from vqc.missions import missions

PHOTO = photos.jpeg((320, 248))
STREAM = {"Accept": "text/event-stream"}


async def posted(visitor, path, accept="text/event-stream", **fields: tuple[str, bytes] | str):
    files = {name: value for name, value in fields.items() if isinstance(value, tuple)}
    data = {name: value for name, value in fields.items() if isinstance(value, str)}
    headers = {"X-CSRF-Token": await visitor.csrf(), "Accept": accept}
    return await visitor.client.post(f"/console/try/{path}", files=files, data=data, headers=headers)


async def test_the_page_has_what_its_script_needs(visitor):
    html = (await visitor.get("/console/try")).text
    assert all(name in html for name in missions())
    assert "<vqc-overlay" in html
    assert 'data-max-bytes="1048576"' in html


async def test_a_caption_is_that_of_the_api(visitor, context):
    streamed = await posted(visitor, "caption", photo=("a.jpg", PHOTO))
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.text.rstrip().rpartition("event: ")[2].startswith("done")
    async with client_of(context_with(ScriptedEngine())) as api:
        answer = await api.post("/caption", files={"photo": ("a.jpg", PHOTO)}, headers=STREAM)
    caption = re.compile(r'"caption":(\{.*?\}\}),')
    assert caption.findall(streamed.text) == caption.findall(answer.text) != []


async def test_a_line_is_that_of_the_api(visitor):
    fields = {"photos": ("a.jpg", PHOTO), "mission": next(iter(missions()))}
    answer = await posted(visitor, "stage-a", "application/json", **fields)
    assert answer.status_code == 200, answer.text
    assert answer.json()["photos"][0]["summary"]


@pytest.mark.parametrize("name", photos.BAD)
async def test_every_bad_photo_has_a_sentence_of_its_own(visitor, name):
    answer = await posted(visitor, "caption", photo=("a.jpg", photos.BAD[name]))
    assert answer.headers["content-type"] == "application/problem+json"
    slug = answer.json()["type"].rpartition(":")[2]
    assert f"{SCRIPT_WORDS}{slug}" in catalogue()


def test_every_error_of_a_photo_has_a_text():
    assert {f"{SCRIPT_WORDS}photo-{reason}" for reason in PhotoReason} <= set(catalogue())


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("heic", "image/jpeg"), ("webp metadata", "image/jpeg"), ("webp", "image/webp"), ("png", "image/png")],
)
async def test_a_photo_that_browsers_do_not_show_upright_has_a_picture(visitor, name, media_type):
    data = whole_photos()[name]
    answer = await posted(visitor, "picture", "image/*", photo=("a", data))
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.size, answer.headers["cache-control"]) == (canonical_photo(data).size_wh, "no-store")


async def test_a_bad_photo_has_no_picture(visitor):
    answer = await posted(visitor, "picture", "image/*", photo=("a.jpg", photos.BAD["heif"]))
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:vqc:problem:photo-truncated")


async def test_without_the_scope_neither_page_nor_routes_answer(site):
    async with site.visitor("looks") as visitor:
        assert (await visitor.get("/console/try")).status_code == 403
        assert "/console/try" not in (await visitor.get("/console/guidance")).text
        for path, field in (("caption", "photo"), ("picture", "photo"), ("stage-a", "photos")):
            fields = {field: ("a.jpg", PHOTO)}
            assert (await posted(visitor, path, "*/*", **fields)).status_code == 403


async def test_without_the_scope_for_lines_no_mission_is_offered(site):
    async with site.visitor("captions") as visitor:
        html = (await visitor.get("/console/try")).text
    assert 'id="mission"' not in html
    assert 'id="photos"' in html


async def test_without_the_token_the_engine_is_not_called(visitor, context):
    answer = await visitor.client.post("/console/try/caption", files={"photo": ("a.jpg", PHOTO)}, headers=STREAM)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:vqc:problem:forbidden")


async def test_captions_of_the_console_are_admitted_like_the_others(site):
    site.context.web.admission.draining = True
    async with site.visitor("all") as visitor:
        answer = await posted(visitor, "caption", photo=("a.jpg", PHOTO))
    assert answer.json()["type"] == "urn:vqc:problem:draining"
