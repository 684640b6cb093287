"""A stand-in for vLLM's chat endpoint that costs next to nothing: one ready answer, whole or streamed, on a Unix socket.

    python -m loadtest.targets.stub_engine SOCKET

With it the gateway's own cost includes its client to the engine: base64, HTTP, reading the answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import httptools
import uvloop

ANSWER = json.dumps(
    {
        f"object_{n}": {"bbox_2d": [10 * n, 20 * n, 10 * n + 90, 20 * n + 60], "desc": "BBU设备/华为,显示完整"}
        for n in range(1, 7)
    },
    ensure_ascii=False,
)
LINE = "BBU设备/华为,显示完整×2，挡风板/华为,安装方向正确×1"
_TOKENS = b'"max_completion_tokens":'
_PIECE = 12
"""Characters of one streamed event."""


class StubEngine(asyncio.Protocol):
    """One connection. Answers captions with ``ANSWER`` and whatever asks for at most 64 tokens with ``LINE``."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Called by the parser, as are those below."""
        self._body, self._url = [], b""

    def on_url(self, url: bytes) -> None:
        """The path."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """A piece of the request."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Answers."""
        assert self._transport is not None
        self._transport.write(_answer(b"".join(self._body)) if self._url.startswith(b"/v1/") else _response(b"{}"))


def _answer(body: bytes) -> bytes:
    parameters = body.rfind(_TOKENS)  # behind the photos
    text = LINE if int(body[parameters + len(_TOKENS) :].split(b",", 1)[0]) <= 64 else ANSWER
    return _stream(text) if body.find(b'"stream":true', parameters) > 0 else _READY[text]


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
_READY = {text: _whole(text) for text in (ANSWER, LINE)}


async def serve(path: str) -> None:
    """Serves until cancelled."""
    server = await asyncio.get_running_loop().create_unix_server(StubEngine, path)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
