"""Requests are complete HTTP, and a caption response is checked."""

from __future__ import annotations

import base64
import json
from email.parser import BytesParser

import pytest

from loadtest.http.requests import Body, Target, caption_problem, caption_request
from vqc.errors import InvalidValue

TARGET = Target(host="127.0.0.1", port=8080)
JPEG = b"\xff\xd8 a photo \xff\xd9"
OBJECT = {"bbox_2d": [1.0, 2.0, 3.0, 4.0], "desc": "标签/5G-BBU"}


def split(request: bytes) -> tuple[bytes, dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return (
        first,
        {name.decode().lower(): value.decode() for name, _, value in (li.partition(b": ") for li in lines)},
        body,
    )


def test_a_json_request_carries_the_photo_in_base64() -> None:
    first, headers, body = split(caption_request(TARGET, JPEG, Body.JSON))

    assert first == b"POST /caption HTTP/1.1"
    assert headers["host"] == "127.0.0.1:8080"
    assert int(headers["content-length"]) == len(body)
    assert base64.b64decode(json.loads(body)["photo"]["base64"]) == JPEG


def test_a_multipart_request_carries_the_photo_as_a_file() -> None:
    _, headers, body = split(caption_request(TARGET, JPEG, Body.MULTIPART))

    message = BytesParser().parsebytes(f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body)
    part = message.get_payload(0)
    assert int(headers["content-length"]) == len(body)
    assert not isinstance(part, str)
    assert part.get_param("name", header="content-disposition") == "photo"
    assert part.get_filename() == "photo.jpg"
    assert part.get_payload(decode=True) == JPEG


def test_a_key_is_sent_only_when_there_is_one() -> None:
    keyed = Target(host="h", port=1, api_key="vqc_a_b")

    assert split(caption_request(keyed, JPEG, Body.JSON))[1]["authorization"] == "Bearer vqc_a_b"
    assert "authorization" not in split(caption_request(TARGET, JPEG, Body.JSON))[1]


@pytest.mark.parametrize(
    "url", ["https://host", "host:80", "http://", "http://h/path", "http://h:99999", "http://h?q=1"]
)
def test_other_urls_are_refused_with_what_is_valid(url: str) -> None:
    with pytest.raises(InvalidValue, match="must be http://host"):
        Target.from_url(url)


def test_a_url_without_a_port_means_80() -> None:
    assert Target.from_url("http://host/").port == 80


def answer(caption: object) -> bytes:
    return json.dumps({"request_id": "x", "caption": caption}).encode()


@pytest.mark.parametrize("caption", [{}, {"object_1": OBJECT}, {"object_1": OBJECT, "object_2": OBJECT}])
def test_a_valid_caption_has_no_fault(caption: object) -> None:
    assert caption_problem(answer(caption)) is None


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"<html>", "not JSON"),
        (b"[]", "no 'caption'"),
        (b"{}", "no 'caption'"),
        (answer([OBJECT]), "no 'caption'"),
        (answer({"object_1": {"desc": "标签"}}), "not a dense caption"),
        (answer({"object_1": OBJECT, "object_2": {**OBJECT, "desc": ""}}), "not a dense caption"),
    ],
)
def test_a_fault_says_what_is_wrong(body: bytes, fault: str) -> None:
    assert fault in (caption_problem(body) or "")
