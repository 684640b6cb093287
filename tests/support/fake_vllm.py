"""A stand-in for vLLM's HTTP server: a scripted engine behind the few routes and spellings that the client knows.

Runs inside a test (``FakeVllm``) or as a process of its own, started as vLLM would be:

    python tests/support/fake_vllm.py --uds PATH [--boot-log FILE] [--child] [--drain]

As a process it obeys the prompt: "die" exits with code 3, "freeze" stops the whole server from answering. With ``--drain``
it lets requests in flight finish on SIGTERM, as vLLM does with ``--shutdown-timeout``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from engine.errors import EngineRefused
from engine.protocol import DecodingParams, GenerateRequest
from engine.scripted import ScriptedEngine
from vqc.image import EncodedPhoto

Reply = tuple[int, dict[str, str], bytes]
"""Status, further headers, body."""


def vllm_error(status: int, kind: str, message: str = "no") -> Reply:
    body = {"error": {"message": message, "type": kind, "param": None, "code": status}}
    return status, {}, json.dumps(body).encode()


class FakeVllm:
    """Serves ``engine`` on a Unix socket. ``before`` may answer a chat request itself, or close the connection (None)."""

    def __init__(self, engine: ScriptedEngine | None = None) -> None:
        self.engine = engine or ScriptedEngine()
        self.bodies: list[dict[str, Any]] = []
        self.before: Callable[[dict[str, Any]], Reply | str | None] = lambda body: "go on"
        self.healthy = True
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        self._server = await asyncio.start_unix_server(self._accept, path)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def drain(self) -> None:
        """Accepts no more connections, lets requests in flight finish, then closes those that are idle."""
        assert self._server is not None
        self._server.close()
        while self.engine.in_flight:
            await asyncio.sleep(0.01)
        await self.stop()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            while head := await _head(reader):
                (method, route), length = head
                body = await reader.readexactly(length)
                if not await self._answer(f"{method} {route}", body, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(
        self, route: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection stays open."""
        if route == "GET /health":
            writer.write(_response(200 if self.healthy else 503, {}, b""))
        elif route == "GET /metrics":
            metrics = f"vllm:num_requests_running {float(self.engine.in_flight)}\nvllm:generation_tokens_total 0\n"
            writer.write(_response(200, {"Content-Type": "text/plain"}, metrics.encode()))
        else:
            assert route == "POST /v1/chat/completions", route
            asked = json.loads(body)
            self.bodies.append(asked)
            reply = self.before(asked)
            if reply is None:
                return False
            if not isinstance(reply, str):
                writer.write(_response(*reply))
            else:
                work = asyncio.create_task(self._generate(asked, writer))
                gone = asyncio.create_task(reader.read(1))  # the next request comes only after this answer
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    work.cancel()
                    await asyncio.wait({work})
                    return False
                gone.cancel()
                await asyncio.wait({gone})
                work.result()
        await writer.drain()
        return True

    async def _generate(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        try:
            request = request_of(asked)
            if asked.get("stream"):
                await self._stream(request, writer)
                return
            generation = await self.engine.generate(request)
        except EngineRefused as error:
            writer.write(_response(*vllm_error(400, "BadRequestError", error.reason)))
            return
        choices = [
            {"index": c.index, "message": {"role": "assistant", "content": c.text}, "finish_reason": c.finish_reason}
            for c in generation.completions
        ]
        usage = {"prompt_tokens": generation.prompt_tokens, "completion_tokens": generation.completion_tokens}
        # Another order than asked for, which HTTP allows.
        answer = {"choices": choices[::-1], "usage": usage}
        writer.write(_response(200, {}, json.dumps(answer, ensure_ascii=False).encode()))

    async def _stream(self, request: GenerateRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        _event(
            writer, {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
        )
        usage = {}
        async for delta in self.engine.stream(request):
            choice = {"index": 0, "delta": {"content": delta.text}, "finish_reason": delta.finish_reason}
            _event(writer, {"choices": [choice]})
            usage = {"prompt_tokens": delta.prompt_tokens, "completion_tokens": delta.completion_tokens}
            await writer.drain()
        _event(writer, {"choices": [], "usage": usage})
        _chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")


def request_of(asked: dict[str, Any]) -> GenerateRequest:
    """The request that a body asks for; fails on whatever vLLM would not understand."""
    *system, user = asked["messages"]
    assert user["role"] == "user"
    return GenerateRequest(
        request_id=asked["request_id"],
        system=system[0]["content"] if system else "",
        user=tuple(_part(part) for part in user["content"]),
        decoding=DecodingParams(
            max_new_tokens=asked["max_completion_tokens"],
            temperature=asked["temperature"],
            top_p=asked["top_p"],
            repetition_penalty=asked["repetition_penalty"],
            seed=asked.get("seed"),
        ),
        n=asked["n"],
        grammar=asked.get("structured_outputs", {}).get("grammar"),
        priority=asked.get("priority", 0),
    )


def _part(part: dict[str, Any]) -> EncodedPhoto | str:
    if part["type"] == "text":
        return part["text"]
    scheme, _, data = part["image_url"]["url"].partition(";base64,")
    image = EncodedPhoto(
        data=b64decode(data, validate=True), media_type=scheme.removeprefix("data:"), digest=part["uuid"]
    )
    assert image.digest == sha256(image.data).hexdigest()
    return image


async def _head(reader: asyncio.StreamReader) -> tuple[tuple[str, str], int] | None:
    """Method and path, and the body's length; None when the peer has closed."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    method, path, _ = lines[0].split(" ")
    return (method, path), int(headers.get("content-length", 0))


def _response(status: int, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{k}: {v}" for k, v in headers.items()), f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _event(writer: asyncio.StreamWriter, event: dict[str, Any]) -> None:
    _chunk(writer, b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n")


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _obey(body: dict[str, Any]) -> str:
    match body["messages"][-1]["content"][-1].get("text"):
        case "die":
            os._exit(3)
        case "freeze":
            time.sleep(3600)
    return "go on"


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--uds", type=Path, required=True)
    parser.add_argument("--boot-log", type=Path, help="lines to print before serving")
    parser.add_argument(
        "--child",
        action="store_true",
        help="start a child that ignores SIGTERM and takes its time to end: it holds memory",
    )
    parser.add_argument("--drain", action="store_true", help="finish what is in flight on SIGTERM")
    arguments = parser.parse_args()
    if arguments.boot_log:
        print(arguments.boot_log.read_text(), flush=True)
    if arguments.child:
        ignoring = (
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); held = b'x' * 2**28; time.sleep(3600)"
        )
        subprocess.Popen([sys.executable, "-c", ignoring])  # noqa: ASYNC220
    fake = FakeVllm(ScriptedEngine(latency_s=0.05))
    fake.before = _obey
    await fake.start(arguments.uds)
    leave = asyncio.Event()
    if arguments.drain:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave.set)
    await leave.wait()
    await fake.drain()


if __name__ == "__main__":
    asyncio.run(_main())
