"""What a stranger's connection may cost, against a real socket: size and time of heads, bodies, silence, unread responses."""

import asyncio

import pytest
import pytest_asyncio

from engine.scripted import ScriptedEngine
from service.platform.http_limits import HttpLimits, usable_connections
from tests.support import photos
from tests.support.service_context import context_with
from tests.support.socket_server import GET, SocketServer, listening

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = HttpLimits(
    head_timeout_s=0.8,
    body_timeout_s=1.5,
    body_bytes_per_s=1000,
    body_window_s=0.5,
    idle_timeout_s=0.8,
    send_timeout_s=0.5,
    linger_s=5.0,
    connections=12,
    reserved=2,
    bytes_in_flight=300_000,
)
KIB64 = 64 * 1024
HOST = b"Host: x\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"POST /caption HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server():
    async with listening(context_with(ScriptedEngine(), max_in_flight=4), LIMITS) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def quiet(server: SocketServer):
    """Every test begins and ends without connections and bytes."""
    yield
    await server.become_quiet()
    assert server.context.web.admission.in_flight == 0


def post(path: bytes, body: bytes, *, length: int | None = None, headers: bytes = b"") -> bytes:
    declared = len(body) if length is None else length
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n%b\r\n%b" % (path, HOST, declared, headers, body)


def caption() -> bytes:
    content = (
        b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n' + photos.jpeg() + b"\r\n--b--\r\n"
    )
    return post(b"/caption", content, headers=b"Content-Type: multipart/form-data; boundary=b\r\n")


ENDLESS = {
    "a header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: ",
    "a header's name": b"GET /healthz HTTP/1.1\r\n" + HOST,
    "a request line": b"GET /",
    "a query": b"GET /?",
    "a trailer": CHUNKED + b"1\r\na\r\n0\r\nX: ",
    "a chunk's extension": CHUNKED + b"1;",
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_an_endless_part_of_a_head_is_431(server, what):
    caller = await server.call(ENDLESS[what])
    for _ in range(200):
        caller.send(b"a" * 1000)
        await asyncio.sleep(0)
    answer = await caller.rest()
    assert answer.startswith(b"HTTP/1.1 431 "), answer[:200]
    assert b"urn:vqc:problem:head-too-large" in answer


async def test_a_head_up_to_the_limit_is_read_however_it_arrives(server):
    line, most = b"GET /healthz HTTP/1.1\r\n" + HOST, KIB64 - 300
    head = line + b"X: " + b"a" * most + b"\r\n\r\n"
    assert await server.status(head) == 200
    caller = await server.call()
    for start in range(0, len(head), 4096):
        caller.send(head[start : start + 4096])
        await asyncio.sleep(0)
    assert await caller.status() == 200
    caller.close()
    assert await server.status(line + b"X: " + b"a" * KIB64 + b"\r\n\r\n") == 431  # in one piece
    assert await server.status(b"GET /" + b"a" * KIB64 + b" HTTP/1.1\r\n" + HOST + b"\r\n") == 431
    assert await server.status(line + b"a:b\r\n" * 1000 + b"\r\n") == 431


async def test_bytes_before_a_request_are_not_endless_either(server):
    caller = await server.call(b"\r\n" * KIB64)
    assert b" 431 " in await caller.rest()


async def test_half_a_head_is_408_and_a_silent_socket_is_closed(server):
    half, silent, kept = await server.call(GET[:-2]), await server.call(), await server.call(GET)
    assert await kept.status() == 200
    kept.send(GET[:10])  # of the second request
    assert (await half.rest()).startswith(b"HTTP/1.1 408 ")
    assert await silent.rest() == b""
    assert (await kept.rest()).startswith(b"HTTP/1.1 408 ")
    idle = await server.call(GET)
    assert await idle.status() == 200
    assert await idle.rest() == b""


async def test_a_head_that_trickles_in_has_one_deadline(server):
    caller = await server.call(b"GET /healthz HTTP/1.1\r\nX: ")
    for _ in range(1000):
        caller.send(b"a")
        await asyncio.sleep(0.02)
        if caller.answered:
            break
    assert b" 408 " in await caller.rest()


@pytest.mark.parametrize("sent", [b"", b"{"])
async def test_a_slow_body_is_408(server, sent):
    caller = await server.call(post(b"/caption", sent, length=5000, headers=JSON))
    answer = await caller.rest()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"urn:vqc:problem:body-timeout" in answer
    assert b"connection: close" in answer.lower()


async def test_a_body_at_the_lowest_rate_has_a_deadline_too(server):
    caller = await server.call(post(b"/caption", b"", length=100_000, headers=JSON))
    for _ in range(300):
        caller.send(b"{" * 200)
        await asyncio.sleep(0.02)
        if caller.answered:
            break
    assert await caller.status() == 408
    caller.close()


async def test_slow_uploads_take_no_place_among_the_work(server):
    slow = [await server.call(post(b"/caption", b"{", length=900)) for _ in range(8)]  # twice max_in_flight
    assert await server.status(caption()) == 200
    assert {await caller.status() for caller in slow} == {415}  # refused for its type, without waiting for its body
    slow = [await server.call(post(b"/caption", b"{", length=900, headers=JSON)) for _ in range(8)]
    assert await server.status(caption()) == 200
    assert {await caller.status() for caller in slow} == {408}


async def test_silent_sockets_make_room_for_others_and_are_closed(server):
    silent = [await server.call(b"" if n % 2 else GET[:20]) for n in range(40)]
    assert server.connections <= LIMITS.connections + LIMITS.reserved
    assert [await server.status(caption()) for _ in range(3)] == [200, 200, 200]
    await asyncio.gather(*(caller.rest() for caller in silent))


async def test_with_every_connection_at_work_a_probe_is_still_answered(server):
    path = await followed(server)
    following = [await server.call(b"GET %b/events HTTP/1.1\r\n%b\r\n" % (path, HOST)) for _ in range(12)]
    for caller in following:
        assert b" 200 " in await caller.head()
    assert await server.status(GET) == 200
    refused = await (await server.call(b"GET /missions HTTP/1.1\r\n" + HOST + b"\r\n")).rest()
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"connections-full" in refused
    assert b"retry-after" in refused.lower()


async def followed(server: SocketServer) -> bytes:
    """The path of a new ticket."""
    body = '{"mission": "挡风板安装检查", "photos": [{"summary": "BBU设备×1"}]}'.encode()
    caller = await server.call(post(b"/stage-b/groups", body, headers=JSON))
    head = (await caller.head()).decode()
    return head.lower().split("location: ")[1].split("\r\n")[0].encode()


async def test_the_bytes_of_all_bodies_are_bounded_declared_or_not(server):
    huge = b" " * 200_000
    first = await server.call(post(b"/caption", huge, length=210_000, headers=JSON))
    await asyncio.sleep(0.05)
    assert server.context.web.server.bytes.used == 210_000  # what has arrived shows that the rest will come
    assert await server.status(post(b"/caption", b"", length=150_000, headers=JSON)) == 429
    assert await server.status(CHUNKED + b"30d40\r\n" + huge + b"\r\n") == 429
    assert await server.status(caption()) == 200
    first.send(b" " * 10_000)
    assert await first.status() == 422
    first.close()


async def test_bodies_on_small_endpoints_are_small(server):
    for method, path in (
        (b"PUT", b"/missions/x/guidance"),
        (b"POST", b"/stage-b/groups/00aa/review"),
        (b"GET", b"/missions"),
    ):
        head = b"%b %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (method, path, HOST, 2**20 + 1)
        assert await server.status(head) == 413, path


async def test_the_response_to_a_body_that_is_not_read_reaches_its_caller(server):
    caller = await server.call(post(b"/missions", b" " * 100_000, length=10**8))
    for _ in range(50):
        caller.send(b" " * 100_000)
        await asyncio.sleep(0.001)
    answer = await caller.rest()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


async def test_a_caller_that_reads_nothing_is_cut_off():
    async def endless(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while not ended.is_set():
                await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
                await asyncio.sleep(0)

    ended = asyncio.Event()
    async with listening(context_with(ScriptedEngine()), LIMITS, endless) as server:
        caller = await server.call(GET)
        caller.writer.transport.pause_reading()
        async with asyncio.timeout(30):
            while server.connections:
                await asyncio.sleep(0.01)
        ended.set()
        await server.become_quiet()


async def test_requests_sent_ahead_are_answered_in_order_up_to_a_number(server):
    caller = await server.call(GET * 10)
    assert [await caller.status() for _ in range(10)] == [200] * 10
    caller.close()
    flood = await server.call(GET * 5000)
    assert (await flood.rest()).count(b" 200 OK") < 100


async def test_a_url_in_the_request_line_names_the_host_of_the_header(server):
    assert await server.status(b"GET http://x/healthz HTTP/1.1\r\n" + HOST + b"\r\n") == 200
    assert await server.status(b"GET http://evil.example/healthz HTTP/1.1\r\n" + HOST + b"\r\n") == 400
    assert await server.status(b"GET /healthz HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n") == 400
    assert await server.status(b"GET /healthz HTTP/1.1\r\n\r\n") == 400
    assert await server.status(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") == 400  # TLS


async def test_refused_heads_and_bodies_are_counted(server):
    page = (await (await server.call(b"GET /metrics HTTP/1.0\r\n" + HOST + b"\r\n")).rest()).decode()
    for reason in (
        "head_too_large",
        "head_timeout",
        "body_timeout",
        "bytes_overloaded",
        "connections_full",
        "malformed",
    ):
        line = next(
            line for line in page.splitlines() if line.startswith(f'vqc_http_refused_total{{reason="{reason}"}}')
        )
        assert float(line.split()[1]) > 0, line


async def test_the_limit_on_open_files_leaves_room_for_what_is_no_connection(monkeypatch):
    for soft, connections in ((1024, 576), (256, 128), (10**6, 2048)):
        monkeypatch.setattr("resource.getrlimit", lambda kind, most=soft: (most, most))
        monkeypatch.setattr("resource.setrlimit", lambda kind, limits: None)
        assert usable_connections(2048, max_in_flight=256) == connections
