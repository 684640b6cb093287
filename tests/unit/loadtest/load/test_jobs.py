"""What is sent to our API and to vLLM, and which answers are taken."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from engine.protocol import DecodingParams
from engine.scripted import ScriptedEngine
from engine.wire import chat_body
from loadtest.http.connection import Reply
from loadtest.http.requests import Target
from loadtest.load.payloads import Payloads, draw_payloads
from loadtest.load.photos import jpeg_photos, stamp_photo
from loadtest.load.scenario import CaptionLoad, Load, Photos, StageALoad, StageBLoad
from loadtest.load.service_jobs import job_of
from loadtest.load.vllm_jobs import VllmJob
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.photos.caption import CaptionPhoto
from service.photos.observe import PhotoObserver
from service.photos.reader import PhotoReader
from service.photos.stage_a import SummarisePhotos
from vqc.image import PhotoLimits, canonical_photo
from vqc.missions import mission_named

TARGET = Target(host="127.0.0.1", port=1)
CAPTION = {"object_1": {"bbox_2d": [1, 2, 30, 40], "desc": "标签"}}


@pytest.fixture(scope="module")
def payloads() -> Payloads:
    return draw_payloads(Photos(width=256, height=192, drawn=3), "run")


def reply(status: int, body: object, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return Reply(status=status, headers=headers, body=bytearray(content), arrivals=[(1.0, len(content))])


def test_a_stamp_changes_the_file_but_no_pixel_and_it_still_passes_through() -> None:
    jpeg = jpeg_photos(1, (256, 192))[0]
    marked = stamp_photo(jpeg, "run-1-0")
    plain, photo = canonical_photo(jpeg), canonical_photo(marked)
    assert photo.passed_through
    assert photo.digest != plain.digest
    with Image.open(io.BytesIO(jpeg)) as one, Image.open(io.BytesIO(marked)) as other:
        assert one.tobytes() == other.tobytes()


def test_photos_are_distinct_within_a_run_and_between_runs_unless_repeated(payloads: Payloads) -> None:
    photos = [photo for n in range(20) for photo in payloads.photos(n, 2)]
    assert len(set(photos)) == 40
    assert not set(photos) & set(replace(payloads, run="other").photos(0, 2))
    assert payloads.photos(3, 2) == payloads.photos(3, 2)
    repeated = replace(payloads, repeated=1.0)
    assert len({photo for n in range(20) for photo in repeated.photos(n, 1)}) == 3


async def test_raw_vllm_is_asked_what_our_service_asks(payloads: Payloads) -> None:
    engine, observer = ScriptedEngine(), PhotoObserver()
    models = ModelRouter.of(engine, ServedModel(alias="a", digest="d"))
    reader = PhotoReader(PhotoLimits(), 1)
    photo = payloads.photos(5, 1)[0]

    async def source() -> bytes:
        return photo

    decoding = DecodingParams(max_new_tokens=64)
    await CaptionPhoto(models, reader, observer)(photo, request_id="r", decoding=decoding, timeout_s=9)
    mission = mission_named("挡风板安装检查")
    summarise = SummarisePhotos(models, reader, observer)
    await summarise([source], mission=mission, request_id="r", decoding=decoding, timeout_s=9)
    reader.close()
    loads: list[Load] = [CaptionLoad(max_new_tokens=64), StageALoad(max_new_tokens=64)]
    for load, asked in zip(loads, engine.requests, strict=True):
        raw = VllmJob(load=load, target=TARGET, payloads=payloads, model="vqc").generation(5)
        ours = replace(asked, request_id=raw.request_id, priority=0)
        assert chat_body(raw, "vqc", stream=False) == chat_body(ours, "vqc", stream=False)


@pytest.mark.parametrize(
    ("status", "body", "problem", "malformed"),
    [
        (200, {"caption": CAPTION, "usage": {"completion_tokens": 7}}, None, False),
        (
            200,
            {"caption": {"object_1": {"desc": "x"}}, "usage": {"completion_tokens": 7}},
            "not a dense caption",
            False,
        ),
        (502, {"title": "unreadable"}, "status 502", True),
        (429, b"busy", "status 429: busy", False),
    ],
)
def test_a_caption_is_checked(
    payloads: Payloads, status: int, body: object, problem: str | None, malformed: bool
) -> None:
    job = job_of(CaptionLoad(), TARGET, payloads)
    reading = job.read([reply(status, body)])
    assert (reading.problem or "").startswith(problem or "")
    assert (reading.problem is None) == (problem is None)
    assert (reading.malformed, reading.completion_tokens) == (malformed, 0 if problem and status != 200 else 7)


def sse(*events: tuple[str, object]) -> bytes:
    return b"".join(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in events)


def test_a_stream_is_timed_to_its_first_object_and_must_hold_what_it_ends_with(payloads: Payloads) -> None:
    job = job_of(CaptionLoad(body="sse"), TARGET, payloads)
    item = CAPTION["object_1"]
    done = {"caption": CAPTION, "status": "parsed", "usage": {"completion_tokens": 7}}
    begun = sse(("photo", {}), ("object", {"n": 1, "object": item}))
    body = bytearray(begun + sse(("done", done)))
    timed = Reply(status=200, body=body, arrivals=[(1.0, 10), (2.0, len(begun)), (3.0, len(body))])
    reading = job.read([timed])
    assert (reading.problem, reading.first_object_at, reading.completion_tokens) == (None, 2.0, 7)
    assert "0 objects were streamed" in (job.read([reply(200, sse(("done", done)))]).problem or "")
    cut = job.read([reply(200, sse(("photo", {}), ("error", {"status": 502})))])
    assert (cut.malformed, "ended with error" in (cut.problem or "")) == (True, True)
    assert "ended with nothing" in (job.read([reply(200, b"")]).problem or "")


def test_a_stage_a_answer_has_a_line_for_each_photo(payloads: Payloads) -> None:
    job = job_of(StageALoad(photos=2), TARGET, payloads)
    line = {"summary": "BBU设备×1", "usage": {"completion_tokens": 4}}
    assert job.read([reply(200, {"photos": [line, line]})]).completion_tokens == 8
    assert job.read([reply(200, {"photos": [line]})]).problem == "1 lines for 2 photos"
    bad = {"summary": "BBU设备 x", "usage": {"completion_tokens": 4}}
    assert "not a Stage-A line" in (job.read([reply(200, {"photos": [line, bad]})]).problem or "")
    assert job.read([reply(200, {"photos": [line, {"problem": {"status": 502}}]})]).malformed
    assert not job.read([reply(200, {"photos": [line, {"problem": {"status": 422}}]})]).malformed


def test_a_ticket_is_followed_to_its_verdict(payloads: Payloads) -> None:
    job = job_of(StageBLoad(photos=2), TARGET, payloads)
    taken = reply(202, {}, location="/stage-b/groups/ab")
    assert (job.follow(taken) or b"").startswith(b"GET /stage-b/groups/ab/events HTTP/1.1")
    assert job.follow(reply(429, b"")) is None
    finished = sse(("accepted", {}), ("finished", {"state": "decided", "verdict": "通过"}))
    assert job.read([taken, reply(200, finished)]) == job.read([taken, reply(200, finished)])
    assert job.read([taken, reply(200, finished)]).problem is None
    assert "no verdict" in (job.read([taken, reply(200, sse(("accepted", {})))]).problem or "")
    failed = sse(("finished", {"state": "failed", "verdict": None}))
    assert "ended as" in (job.read([taken, reply(200, failed)]).problem or "")


def chat(*texts: str) -> dict[str, object]:
    return {"choices": [{"message": {"content": text}} for text in texts], "usage": {"completion_tokens": 3}}


@pytest.mark.parametrize(
    ("load", "good"),
    [
        (CaptionLoad(), '{"object_1": {"bbox_2d": [1, 2, 30, 40], "desc": "标签"}}'),
        (StageALoad(), "BBU设备×1"),
        (StageBLoad(), "不通过\n理由: 挡风板缺失"),
    ],
)
def test_raw_answers_must_be_readable_where_a_grammar_was_asked_for(load: Load, good: str, payloads: Payloads) -> None:
    job = VllmJob(load=load, target=TARGET, payloads=payloads, model="vqc")
    assert job.read([reply(200, chat(good))]).problem is None
    assert job.read([reply(200, chat("\x00"))]).malformed
    free = replace(job, constrained=False)
    assert free.read([reply(200, chat("\x00"))]).problem is None
    assert free.generation(0).grammar is None


def test_a_raw_stream_is_timed_to_its_first_complete_object(payloads: Payloads) -> None:
    pieces = ['{"object_1": {"bbox_2d": [1, 2, 3', '0, 40], "desc": "标签"}', "}"]
    blocks = [json.dumps({"choices": [{"delta": {"content": piece}}]}).encode() for piece in pieces]
    ends, body = [], b""
    for block in [*blocks, b"[DONE]"]:
        body += b"data: " + block + b"\n\n"
        ends.append(len(body))
    job = VllmJob(load=CaptionLoad(body="sse"), target=TARGET, payloads=payloads, model="vqc")
    timed = Reply(status=200, body=bytearray(body), arrivals=[(float(n), end) for n, end in enumerate(ends)])
    assert (job.read([timed]).problem, job.read([timed]).first_object_at) == (None, 1.0)
