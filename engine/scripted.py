"""An engine without a model: deterministic answers, delays and failures. For dry runs, tests and load tests."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

from typing_extensions import override

from engine.debug_log import log_exchange
from engine.errors import EngineError, EngineRefused, EngineTimeout, EngineUnavailable
from engine.plausible import plausible_answer
from engine.protocol import Completion, Delta, Engine, FinishReason, GenerateRequest, Generation, Health
from vqc.image import EncodedPhoto

PROMPT_TOKENS_PER_IMAGE = 256
_TOKEN = re.compile(r"[0-9]+|[A-Za-z_]+|.", re.DOTALL)


class ScriptedEngine(Engine):
    """Answers ``script(request, index)`` for completion ``index``, truncated at ``max_new_tokens`` pieces.

    ``latency_s`` passes before an answer, ``token_interval_s`` between the pieces of a streamed one. ``fail`` may return an
    error to raise instead. For tests it records the last ``remember`` requests, how many are in flight and how many were
    ``aborted`` (cancelled or closed by the caller).
    """

    def __init__(
        self,
        script: Callable[[GenerateRequest, int], str] = plausible_answer,
        *,
        latency_s: float = 0.0,
        token_interval_s: float = 0.0,
        fail: Callable[[GenerateRequest], EngineError | None] = lambda request: None,
        remember: int = 16,
    ) -> None:
        self._script = script
        self._latency_s = latency_s
        self._token_interval_s = token_interval_s
        self._fail = fail
        self._closed = False
        self.requests: deque[GenerateRequest] = deque(maxlen=remember)
        self.answered = 0
        self.in_flight = 0
        self.aborted = 0

    @override
    async def generate(self, request: GenerateRequest) -> Generation:
        with self._track(request), log_exchange(request, engine="scripted", model="scripted") as exchange:
            await self._wait(request)
            completions = tuple(self._completion(request, index) for index in range(request.n))
            generation = Generation(
                completions=completions,
                prompt_tokens=_prompt_tokens(request),
                completion_tokens=sum(len(_TOKEN.findall(completion.text)) for completion in completions),
            )
            exchange.finish(generation)
            return generation

    @override
    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        with self._track(request), log_exchange(request, engine="scripted", model="scripted") as exchange:
            deadline = asyncio.get_running_loop().time() + request.timeout_s
            await self._wait(request)
            completion = self._completion(request, 0)
            pieces = _TOKEN.findall(completion.text)
            for piece in pieces[:-1]:
                yield Delta(text=piece)
                await _pause(self._token_interval_s, request, deadline)
            last = Delta(
                text="".join(pieces[-1:]),
                finish_reason=completion.finish_reason,
                prompt_tokens=_prompt_tokens(request),
                completion_tokens=len(pieces),
            )
            exchange.finish(last)
            yield last

    @override
    async def health(self) -> Health:
        return Health(ready=not self._closed, reason="closed" if self._closed else "ready")

    @override
    async def aclose(self) -> None:
        self._closed = True

    @contextmanager
    def _track(self, request: GenerateRequest) -> Iterator[None]:
        self.requests.append(request)
        self.in_flight += 1
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self.aborted += 1
            raise
        else:
            self.answered += 1
        finally:
            self.in_flight -= 1

    async def _wait(self, request: GenerateRequest) -> None:
        """Waits for the latency, then raises what a real engine or ``fail`` would."""
        await _pause(self._latency_s, request, asyncio.get_running_loop().time() + request.timeout_s)
        if self._closed:
            raise EngineUnavailable("the engine is closed")
        if error := self._fail(request):
            raise error
        if request.n > 1 and not request.decoding.temperature:
            raise EngineRefused(f"n must be 1 when using greedy sampling, got {request.n}.")

    def _completion(self, request: GenerateRequest, index: int) -> Completion:
        text = self._script(request, index)
        pieces = _TOKEN.findall(text)
        cut = len(pieces) > request.decoding.max_new_tokens
        finish_reason: FinishReason = "length" if cut else "stop"
        return Completion(
            index=index,
            text="".join(pieces[: request.decoding.max_new_tokens]) if cut else text,
            finish_reason=finish_reason,
        )


async def _pause(seconds: float, request: GenerateRequest, deadline: float) -> None:
    """Sleeps for ``seconds``; raises ``EngineTimeout`` at the deadline."""
    left = deadline - asyncio.get_running_loop().time()
    await asyncio.sleep(max(min(seconds, left), 0))
    if seconds >= left:
        raise EngineTimeout(request.timeout_s)


def _prompt_tokens(request: GenerateRequest) -> int:
    texts = (request.system, *request.user)
    return sum(PROMPT_TOKENS_PER_IMAGE if isinstance(text, EncodedPhoto) else 1 + len(text) // 2 for text in texts)
