"""The engine port over HTTP: vLLM's OpenAI-compatible server, at a URL or on a Unix socket.

Owns connections, deadlines, the single retry and the translation of errors. ``engine.wire`` owns the message format.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from opentelemetry.propagate import inject
from opentelemetry.trace import SpanKind, get_tracer, set_span_in_context
from typing_extensions import override

from engine.debug_log import log_exchange
from engine.errors import EngineFailed, EngineTimeout, EngineUnavailable
from engine.protocol import Delta, Engine, GenerateRequest, Generation, Health
from engine.wire import RETRY_AFTER_S, Failure, chat_body, failure_of, finish_reason_of, generation_of

_tracer = get_tracer("vqc.engine")
RETRY_PAUSE_S = 0.2
CONNECT_TIMEOUT_S = 5.0
HEALTH_TIMEOUT_S = 5.0
KEEPALIVE_S = 3.0
"""Shorter than vLLM's own 5 s, so that a pooled connection is rarely one that the server is about to close."""


class VllmClient(Engine):
    """An engine that runs elsewhere.

    ``endpoint`` is a base URL (``http://engine:8000``) or the path of a Unix socket; ``model`` is the name it serves.
    ``send_priority`` is off for servers without ``--scheduling-policy priority``, which reject priorities. ``down_reason``
    returns why a retry is useless at the moment, or None.
    """

    def __init__(
        self,
        endpoint: str | Path,
        model: str,
        *,
        api_key: str | None = None,
        send_priority: bool = True,
        down_reason: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._endpoint = endpoint
        self._model = model
        self._send_priority = send_priority
        self._down_reason = down_reason
        self._name = str(endpoint)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @override
    async def generate(self, request: GenerateRequest) -> Generation:
        body = chat_body(request, self._model, stream=False, send_priority=self._send_priority)
        try:
            with log_exchange(request, engine=self._name, model=self._model) as exchange:
                async with asyncio.timeout(request.timeout_s):
                    generation = await self._retrying(lambda: self._generate(body))
                exchange.finish(generation)
                return generation
        except TimeoutError as error:
            raise EngineTimeout(request.timeout_s) from error
        except _FailedAttempt as failed:
            raise failed.failure.error from failed.__cause__

    @override
    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        body = chat_body(request, self._model, stream=True, send_priority=self._send_priority)
        now = asyncio.get_running_loop().time
        deadline = now() + request.timeout_s
        try:
            # No timeout may be open across a yield: it would cancel the caller's own work. The deadline itself does
            # include the time that the caller takes for a piece.
            with log_exchange(request, engine=self._name, model=self._model) as exchange:
                async with asyncio.timeout_at(deadline):
                    delta, deltas = await self._retrying(lambda: self._open_stream(body))
                async with aclosing(deltas):
                    exchange.finish(delta)
                    yield delta
                    while delta.finish_reason is None:
                        if now() >= deadline:  # ``anext`` of a buffered piece would never yield to the timeout below
                            raise TimeoutError
                        async with asyncio.timeout_at(deadline):
                            delta = await anext(deltas)
                        exchange.finish(delta)
                        yield delta
        except TimeoutError as error:
            raise EngineTimeout(request.timeout_s) from error
        except _FailedAttempt as failed:
            raise failed.failure.error from failed.__cause__

    @override
    async def health(self) -> Health:
        try:
            status, _ = await self._get("/health")
        except EngineUnavailable as error:
            return Health(ready=False, reason=error.reason)
        if status == 200:
            return Health(ready=True, reason="ready")
        return Health(ready=False, reason=f"{self._name} reports a dead engine (HTTP {status})")

    async def metrics(self) -> str:
        """The engine's own metrics (``vllm:…``) in Prometheus text format. Raises ``EngineUnavailable``."""
        status, text = await self._get("/metrics")
        if status != 200:
            raise EngineUnavailable(f"{self._name} returned no metrics (HTTP {status})", RETRY_AFTER_S)
        return text

    @override
    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _http(self) -> aiohttp.ClientSession:
        """The connection pool, created by the first request because it belongs to that request's event loop."""
        if self._closed:
            raise EngineUnavailable("the engine client is closed")
        if self._session is None:
            uds = str(self._endpoint) if isinstance(self._endpoint, Path) else None
            shared: dict[str, Any] = {"limit": 0, "keepalive_timeout": KEEPALIVE_S}
            self._session = aiohttp.ClientSession(
                base_url="http://engine" if uds else str(self._endpoint),
                connector=aiohttp.UnixConnector(uds, **shared) if uds else aiohttp.TCPConnector(**shared),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _get(self, path: str) -> tuple[int, str]:
        """Status and text of a GET, for questions about the server itself. Raises ``EngineUnavailable``."""
        http = self._http()
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S), http.get(path, allow_redirects=False) as response:
                return response.status, await response.text()
        except TimeoutError as error:
            raise EngineUnavailable(f"{self._name} did not answer within {HEALTH_TIMEOUT_S:g} s") from error
        except aiohttp.ClientError as error:
            raise EngineUnavailable(f"{self._name} does not answer: {_message(error)}") from error

    async def _retrying(self, attempt: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The attempt's result, or the second attempt's if a retry may help."""
        try:
            return await attempt()
        except _FailedAttempt as failed:
            if not failed.failure.retryable or self._down_reason():
                raise
        await asyncio.sleep(RETRY_PAUSE_S)
        return await attempt()

    async def _generate(self, body: bytes) -> Generation:
        async with self._response(body) as response:
            content = await response.read()
        return generation_of(_parse_json(content))

    async def _open_stream(self, body: bytes) -> tuple[Delta, AsyncGenerator[Delta, None]]:
        """The first delta, and the generator of the others."""
        deltas = self._deltas(body)
        return await anext(deltas), deltas

    async def _deltas(self, body: bytes) -> AsyncGenerator[Delta, None]:
        """Deltas with text, then a last one with the finish reason and the token counts."""
        text, finish_reason, usage, model = "", None, {}, ""
        async with self._response(body) as response:
            async for event in _events(response):
                usage, model = event.get("usage") or usage, event.get("model") or model
                for choice in event["choices"]:
                    text += choice["delta"].get("content") or ""
                    if choice["finish_reason"] is not None:
                        finish_reason = finish_reason_of(choice["finish_reason"])
                # The last text is held back: it travels with the finish reason, and the usage follows in a later event.
                if text and finish_reason is None:
                    yield Delta(text=text)
                    text = ""
        if finish_reason is None:
            raise _FailedAttempt(_connection_failure("the engine ended the answer before it was complete"))
        yield Delta(
            text=text,
            finish_reason=finish_reason,
            prompt_tokens=usage.get("prompt_tokens", 0),
            completion_tokens=usage.get("completion_tokens", 0),
            model=model,
        )

    @asynccontextmanager
    async def _response(self, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response with status 200. Leaving the block early closes the connection, which makes vLLM abort the generation."""
        http, data = self._http(), body if len(body) < _PIECEMEAL_BYTES else io.BytesIO(body)
        # Not a current span: a stream outlives the context that it begins in.
        span = _tracer.start_span("engine", kind=SpanKind.CLIENT)
        headers = dict(_HEADERS)
        inject(headers, set_span_in_context(span))
        try:
            async with http.post(_CHAT, data=data, headers=headers, allow_redirects=False) as response:
                if response.status != 200:
                    retry_after = response.headers.get("Retry-After")
                    raise _FailedAttempt(failure_of(response.status, await response.read(), retry_after))
                yield response
        except aiohttp.ClientConnectorError as error:
            raise _FailedAttempt(_connection_failure(f"{self._name} does not answer: {_message(error)}")) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise _FailedAttempt(
                _connection_failure(f"the connection to {self._name} was lost: {_message(error)}")
            ) from error
        finally:
            span.end()


class _FailedAttempt(Exception):
    """One failed attempt; the caller gets ``failure.error``."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.error.reason)


_Answer = TypeVar("_Answer")
_CHAT = "/v1/chat/completions"
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
_PIECEMEAL_BYTES = 2**20
"""A longer body is sent in pieces, so that it does not block the event loop."""


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The JSON of each server-sent event."""
    rest = b""
    async for chunk in response.content.iter_any():
        # Only a line feed ends a line. ``splitlines`` would also split at separators that answers contain unescaped.
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            data = line.removeprefix(b"data:").strip()
            if not line.startswith(b"data:") or data == b"[DONE]":
                continue
            event = _parse_json(data)
            if "error" in event:
                raise _FailedAttempt(failure_of(int(event["error"].get("code") or 500), data))
            yield event


def _parse_json(content: bytes) -> dict[str, Any]:
    try:
        return json.loads(content)
    except ValueError as error:
        raise EngineFailed(f"the engine's answer is not JSON: {content[:80]!r}") from error


def _connection_failure(reason: str) -> Failure:
    return Failure(error=EngineUnavailable(reason, RETRY_AFTER_S), retryable=True)


def _message(error: Exception) -> str:
    """The exception's text, or its type's name if it has none."""
    return str(error) or type(error).__name__
