"""What a browser sends for another site's page, and what no client sends by mistake: each is a 4xx, never a 500."""

import pytest

from engine.scripted import ScriptedEngine
from tests.support import photos
from tests.support.service_context import client_of, context_with

EVIL = {"Origin": "https://evil.example"}
CHANGES = [
    ("POST", "/stage-b/groups"),
    ("POST", "/caption"),
    ("POST", "/stage-b/groups/00aa/retry"),
    ("DELETE", "/stage-b/groups/00aa"),
    ("PUT", "/missions/挡风板安装检查/guidance"),
    ("POST", "/models/champion/reload"),
    ("PATCH", "/nothing-here"),
]
FOREIGN = [
    EVIL,
    {"Origin": "null"},
    {"Origin": "http://vqc.test:3000"},
    {"Origin": "http://vqc.test.evil.example"},
    {"Origin": "file://"},
    {"Origin": "http://[::1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://vqc.test"},
    {"Sec-Fetch-Site": "none", **EVIL},
]
OWN = [
    {},
    {"Origin": "http://vqc.test"},
    {"Origin": "https://VQC.test:443"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://vqc.example"},  # a proxy that replaces Host
    {"Sec-Fetch-Site": "none"},
]


@pytest.fixture
async def keyless():
    async with client_of(context_with(ScriptedEngine())) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_without_keys_another_sites_page_changes_nothing(keyless, method, path):
    for headers in FOREIGN:
        answer = await keyless.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:vqc:problem:origin-refused"), headers
    for headers in OWN:
        assert (await keyless.request(method, path, headers=headers)).status_code != 403, headers


async def test_a_page_may_be_read_from_anywhere_and_with_keys_the_key_decides(keyless, tmp_path):
    assert (await keyless.get("/missions", headers=EVIL)).status_code == 200
    async with client_of(context_with(ScriptedEngine(), keys=[])) as client:
        assert (await client.post("/caption", headers=EVIL)).status_code == 401
    page = (await keyless.get("/metrics")).text
    assert 'vqc_http_refused_total{reason="origin"} 0.0' in page


@pytest.mark.parametrize("path", ["/healthz", "/missions", "/console"])
async def test_a_request_with_two_hosts_or_none_is_malformed(keyless, path):
    for hosts in ([], ["vqc.test", "vqc.test"], ["vqc.test", "evil.example"]):
        request = keyless.build_request("GET", path)
        del request.headers["host"]
        request.headers = type(request.headers)([*request.headers.raw, *((b"Host", host.encode()) for host in hosts)])
        answer = await keyless.send(request)
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:vqc:problem:malformed-request"), hosts


def part(disposition: bytes, content: bytes = b"x") -> bytes:
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + content + b"\r\n--b--\r\n"


PHOTO = part(b'form-data; name="photo"; filename="a.jpg"', photos.jpeg())
TYPES = [
    *(f"multipart/form-data; boundary=b; charset={name}" for name in ("undefined", "idna", "punycode", "rot13", "x" * 900)),
    "multipart/form-data; boundary=b; charset=unicode_escape",
    "multipart/form-data; boundary=b; charset=a\x00b",
    'multipart/form-data; boundary=b; charset="',
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=" + "b" * 5000,
    "multipart/form-data; charset=undefined",
    "MULTIPART/form-data;;;=;boundary",
]  # fmt: skip


# Starlette leaves the file of a part without an end to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", ["/caption", "/stage-a", "/stage-b/groups"])
async def test_malformed_multipart_is_the_callers_error(keyless, path):
    for content_type in TYPES:
        answer = await keyless.post(path, content=PHOTO, headers={"Content-Type": content_type})
        assert 400 <= answer.status_code < 500, content_type
    for body in (
        b"",
        b"--b",
        b"--b--\r\n",
        PHOTO[:-10],
        part(b"form-data"),
        part(b"name=\xff\xfe; filename=\x00"),
        part(b"form-data; name=\"photo\"; filename*=undefined''x"),
        part(b"form-data; name=photo; filename=" + b"a" * 5000),
        part(b"a" * 1_000_000),
        b"".join(part(b"form-data; name=photo")[:-6] for _ in range(50)),
    ):
        answer = await keyless.post(path, content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
        assert 400 <= answer.status_code < 500, body[:80]


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "us-ascii", "gbk"])
async def test_a_charset_that_is_read_is_no_obstacle(keyless, charset):
    content_type = f"multipart/form-data; boundary=b; charset={charset}"
    assert (await keyless.post("/caption", content=PHOTO, headers={"Content-Type": content_type})).status_code == 200
