"""A stub of vLLM's chat endpoint that costs almost nothing: one prepared answer, whole or streamed, on a Unix socket.

    python -m loadtest.targets.stub_engine SOCKET

With it the measured cost of the API includes its client to the engine: base64, HTTP, reading the answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import httptools
import uvloop
from typing_extensions import override

from loadtest.errors import BenchFailed

ANSWER = json.dumps(
    {
        f"object_{n}": {"bbox_2d": [10 * n, 20 * n, 10 * n + 90, 20 * n + 60], "desc": "BBU设备/华为,显示完整"}
        for n in range(1, 7)
    },
    ensure_ascii=False,
)
LINE = "BBU设备/华为,显示完整×2，挡风板/华为,安装方向正确×1"
_START_TIMEOUT_S = 20.0
_TOKENS = b'"max_completion_tokens":'
_PIECE = 12
"""Characters per streamed event."""


class StubEngine(asyncio.Protocol):
    """One connection. Answers requests for at most 64 tokens with ``LINE``, all others with ``ANSWER``."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._url = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """A callback of the parser, as are those below."""
        self._body, self._url = [], b""

    def on_url(self, url: bytes) -> None:
        """The path."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """A piece of the request."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Sends the answer."""
        assert self._transport is not None
        self._transport.write(_answer(b"".join(self._body)) if self._url.startswith(b"/v1/") else _response(b"{}"))


def _answer(body: bytes) -> bytes:
    parameters = body.rfind(_TOKENS)  # searched from the end: the photos come first
    text = LINE if int(body[parameters + len(_TOKENS) :].split(b",", 1)[0]) <= 64 else ANSWER
    return _stream(text) if body.find(b'"stream":true', parameters) > 0 else _PREPARED[text]


def _whole(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return _response(json.dumps({"choices": [choice], "usage": _USAGE}, ensure_ascii=False).encode())


def _stream(text: str) -> bytes:
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    choices = [[{"index": 0, "delta": {"content": piece}, "finish_reason": None}] for piece in pieces]
    choices.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    events = [json.dumps({"choices": choice}) for choice in choices] + [
        json.dumps({"choices": [], "usage": _USAGE}),
        "[DONE]",
    ]
    body = "".join(f"data: {event}\n\n" for event in events).encode()
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def _response(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


_USAGE = {"prompt_tokens": 805, "completion_tokens": 120}
_PREPARED = {text: _whole(text) for text in (ANSWER, LINE)}


@asynccontextmanager
async def running_stub_engine() -> AsyncGenerator[Path, None]:
    """The socket of a stub engine in a process of its own. Raises ``BenchFailed``."""
    with tempfile.TemporaryDirectory(prefix="vqc-stub-", dir="/tmp") as folder:
        socket = Path(folder, "engine.sock")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtest.targets.stub_engine", str(socket)
        )
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                while not socket.exists():  # noqa: ASYNC240  (one stat)
                    if process.returncode is not None:
                        raise BenchFailed(f"the stub engine ended with code {process.returncode}")
                    await asyncio.sleep(0.05)
            yield socket
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def serve(path: str) -> None:
    """Serves until cancelled."""
    server = await asyncio.get_running_loop().create_unix_server(StubEngine, path)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
