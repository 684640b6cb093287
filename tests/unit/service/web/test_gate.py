"""The checks before every route: keys, scopes, admission, limits, drain, ids, health, metrics."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from engine.errors import EngineFailed, EngineOverloaded, EngineTimeout, EngineUnavailable
from engine.scripted import ScriptedEngine
from service.app.http import create_app
from service.web.auth import Scope
from service.web.key_file import create_key, read_keys
from tests.support import photos
from tests.support.service_context import client_of, context_with
from vqc.errors import InvalidValue

PHOTO = {"photo": ("a.jpg", photos.jpeg())}


@pytest.fixture
def keyed(tmp_path):
    """A key file with one key of each kind, and the tokens by name."""
    file, now = tmp_path / "keys.yaml", datetime.now(UTC)
    tokens = {
        "caption": create_key(file, [Scope.CAPTION], None),
        "stage-a": create_key(file, [Scope.STAGE_A], now + timedelta(days=1)),
        "expired": create_key(file, [Scope.CAPTION], now - timedelta(seconds=1)),
    }
    return read_keys(file), tokens


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_keys_and_scopes(keyed):
    keys, tokens = keyed
    async with client_of(context_with(ScriptedEngine(), keys=keys)) as client:

        async def status(headers) -> tuple[int, str]:
            answer = await client.post("/caption", files=PHOTO, headers=headers)
            return answer.status_code, answer.json().get("type", "")

        assert await status(bearer(tokens["caption"])) == (200, "")
        assert await status({}) == (401, "urn:vqc:problem:unauthenticated")
        assert await status(bearer(tokens["expired"])) == (401, "urn:vqc:problem:unauthenticated")
        changed = tokens["caption"][:-1] + ("y" if tokens["caption"].endswith("x") else "x")
        assert await status(bearer(changed)) == (401, "urn:vqc:problem:unauthenticated")
        assert await status(bearer("vqc_zzz_zzz")) == (401, "urn:vqc:problem:unauthenticated")
        assert await status({"Authorization": "Basic abc"}) == (401, "urn:vqc:problem:unauthenticated")
        assert await status(bearer(tokens["stage-a"])) == (403, "urn:vqc:problem:forbidden")


HOSTS = ["localhost:8080", "LOCALHOST", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"]
STRANGE = ["vqc.test", "rebound.example:8080", "localhost.example", "192.168.0.7", "0.0.0.0", "[::1", "", "a.vqc.test"]


@pytest.mark.parametrize("path", ["/missions", "/console", "/nothing-here"])
async def test_without_keys_only_loopback_hosts_are_allowed(path):
    context = context_with(ScriptedEngine(), hosts=())
    async with client_of(context) as client:
        for host in HOSTS:
            assert (await client.get(path, headers={"Host": host})).status_code != 421, host
        for host in STRANGE:
            answer = await client.get(path, headers={"Host": host})
            assert (answer.status_code, answer.json()["type"]) == (421, "urn:vqc:problem:host-refused"), host
            assert answer.json()["field"] == "Host"
            assert "VQC_ALLOWED_HOSTS" in answer.json()["valid"]
        page = (await client.get("/metrics")).text
        assert f'vqc_http_refused_total{{reason="host"}} {len(STRANGE)}.0' in page


async def test_probes_and_scrapes_are_allowed_under_any_host():
    async with client_of(context_with(ScriptedEngine(), hosts=())) as client:
        for path in ("/healthz", "/readyz", "/readyz/captions", "/metrics"):
            assert (await client.get(path, headers={"Host": "10.1.2.3:8080"})).status_code == 200


async def test_listed_hosts_are_allowed_and_with_keys_any_unless_listed(keyed):
    keys, tokens = keyed

    async def status(context, host: str) -> int:
        async with client_of(context) as client:
            return (await client.get("/missions", headers={"Host": host} | bearer(tokens["caption"]))).status_code

    named = ("VQC.example", "*.inside.example")
    for context, answered, refused in (
        (context_with(ScriptedEngine(), hosts=named), ["vqc.example:80", "a.inside.example", *HOSTS], ["b.example"]),
        (context_with(ScriptedEngine(), hosts=named, keys=keys), ["vqc.example"], ["b.example", "inside.example"]),
        (context_with(ScriptedEngine(), hosts=(), keys=keys), ["b.example", "vqc.test"], []),
        (context_with(ScriptedEngine(), hosts=("*",)), ["b.example", ""], []),
    ):
        assert {await status(context, host) for host in answered} == {200}
        assert {await status(context, host) for host in refused} <= {421}


async def test_every_path_but_the_public_ones_needs_a_key(keyed):
    async with client_of(context_with(ScriptedEngine(), keys=keyed[0])) as client:
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
            assert (await client.get(path)).status_code == 200
        for path in ("/caption", "/nothing-here", "/docs"):
            answer = await client.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_key_file_has_no_secret_and_is_private(tmp_path):
    file = tmp_path / "keys.yaml"
    token = create_key(file, [Scope.CAPTION], None)
    assert token.split("_", 2)[2] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("- id: x\n  scopes: [everything]\n")
    with pytest.raises(InvalidValue, match="keys.yaml"):
        read_keys(file)


async def test_overload_is_rejected_before_any_work():
    engine = ScriptedEngine(latency_s=0.2)
    async with client_of(context_with(engine, max_in_flight=2)) as client:
        answers = await asyncio.gather(*(client.post("/caption", files=PHOTO) for _ in range(5)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 3
    assert len(engine.requests) == 2
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert refused[0].json()["type"] == "urn:vqc:problem:overloaded"


async def test_in_flight_is_released_after_errors():
    context = context_with(ScriptedEngine(), max_in_flight=1)
    async with client_of(context) as client:
        for data in (b"", photos.jpeg(), b"junk", photos.jpeg()):
            await client.post("/caption", files={"photo": ("a", data)})
        assert (await client.post("/caption", files=PHOTO)).status_code == 200
    assert context.web.admission.in_flight == 0


async def test_a_body_over_the_limit_is_rejected_by_its_declared_or_its_real_length():
    async with client_of(context_with(ScriptedEngine(), max_body_bytes=1000)) as client:

        async def chunks():
            for _ in range(20):
                yield bytes(100)

        declared = await client.post("/caption", files=PHOTO)
        chunked = await client.post("/caption", content=chunks(), headers={"Content-Type": "application/json"})
    for answer in (declared, chunked):
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:vqc:problem:body-too-large")


async def test_leaving_turns_readiness_off_and_admits_work_then_draining_rejects_it():
    context = context_with(ScriptedEngine())
    async with client_of(context) as client:
        assert (await client.get("/readyz")).status_code == 200
        context.web.admission.leaving = True
        taken, ready = await client.post("/caption", files=PHOTO), await client.get("/readyz")
        context.web.admission.draining = True
        refused = await client.post("/caption", files=PHOTO)
        assert (await client.get("/healthz")).status_code == 200
    assert (taken.status_code, taken.headers["connection"]) == (200, "close")
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:vqc:problem:draining")
    assert ready.status_code == 503
    assert "shutting down" in ready.json()["reasons"][0]


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (EngineUnavailable("restarting"), 503, "engine-unavailable"),
        (EngineOverloaded("queue full"), 429, "engine-overloaded"),
        (EngineTimeout(5), 504, "engine-timeout"),
        (EngineFailed("boom"), 502, "engine-failed"),
        (RuntimeError("secret detail"), 500, "internal"),
    ],
)
async def test_engine_errors_have_their_status(error, status, slug):
    async with client_of(context_with(ScriptedEngine(fail=lambda request: error))) as client:
        for headers in ({}, {"Accept": "text/event-stream"}):
            answer = await client.post("/caption", files=PHOTO, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (status, f"urn:vqc:problem:{slug}")
            assert "secret" not in answer.text


async def test_unknown_paths_and_methods_are_problems(client):
    for answer, status in ((await client.get("/nothing"), 404), (await client.get("/caption"), 405)):
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_a_request_id_that_could_break_a_log_is_replaced(client):
    answer = await client.post("/caption", files=PHOTO, headers={"X-Request-Id": "a b\tc"})
    assert answer.headers["x-request-id"] not in ("a b\tc", "")


async def test_metrics_count_requests_photos_answers_and_tokens(engine):
    from dataclasses import replace

    from service.photos.caption import CaptionPhoto
    from service.photos.reader import PhotoReader
    from vqc.image import PhotoLimits

    context = context_with(engine)
    counted = CaptionPhoto(
        context.models.router, PhotoReader(PhotoLimits(), 1, context.metrics.photos), context.metrics.photos
    )
    async with client_of(replace(context, photos=replace(context.photos, caption=counted))) as client:
        await client.post("/caption", files=PHOTO)
        await client.post("/caption", files={"photo": ("a", b"junk")})
        page = (await client.get("/metrics")).text
    for line in (
        'vqc_http_requests_total{method="POST",route="/caption",status="200"} 1.0',
        'vqc_http_requests_total{method="POST",route="/caption",status="422"} 1.0',
        'vqc_photos_rejected_total{reason="not-an-image"} 1.0',
        'vqc_answers_total{status="parsed",task="caption"} 1.0',
        "vqc_caption_objects_count 1.0",
        'vqc_http_refused_total{reason="overloaded"} 0.0',
        "vqc_engine_ready 1.0",
        "vqc_requests_in_flight 0.0",
        f'vqc_model_info{{alias="champion",digest="{"d" * 12}",role="main"}} 1.0',
    ):
        assert line in page


async def test_a_client_that_disconnects_while_it_sends_is_not_an_error():
    context = context_with(ScriptedEngine())
    app, sent = create_app(context), []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/caption",
        "raw_path": b"/caption", "root_path": "", "scheme": "http", "query_string": b"", "client": ("test", 1),
        "server": ("test", 80), "headers": [(b"host", b"vqc.test"), (b"content-type", b"application/json")],
    }  # fmt: skip
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 499
    assert context.web.admission.in_flight == 0


async def test_rejections_before_any_work_are_counted_by_reason():
    context = context_with(ScriptedEngine(), max_in_flight=1, max_body_bytes=2000)
    async with client_of(context) as client:
        with context.web.admission.admit():
            await client.post("/caption", files=PHOTO)
        await client.post("/caption", content=b"x" * 3000)
        context.web.admission.draining = True
        await client.post("/stage-a", files=PHOTO)
        page = (await client.get("/metrics")).text
    for reason in ("overloaded", "body_too_large", "draining"):
        assert f'vqc_http_refused_total{{reason="{reason}"}} 1.0' in page
    assert 'vqc_http_requests_total{method="POST",route="/caption",status="429"} 1.0' in page


async def test_a_traced_request_leaves_its_trace_id_beside_its_latency(client):
    context = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    with use_span(NonRecordingSpan(context)):
        await client.post("/caption", files=PHOTO)
    page = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert page.headers["content-type"].startswith("application/openmetrics-text")
    lines = [
        line for line in page.text.splitlines() if line.startswith("vqc_http_request_seconds_bucket") and "#" in line
    ]
    assert [line.split(" # ")[1].split("}")[0] for line in lines] == [f'{{trace_id="{0xABC:032x}"']
