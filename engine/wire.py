"""The messages of vLLM's chat endpoint: request bodies, answers, errors. No input or output."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.errors import (
    EngineError,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineUnavailable,
)
from engine.protocol import Completion, FinishReason, GenerateRequest, Generation
from vqc.image import EncodedPhoto

RETRY_AFTER_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed request: the error for the caller, and whether a retry may help."""

    error: EngineError
    retryable: bool


def chat_body(request: GenerateRequest, model: str, *, stream: bool, send_priority: bool = True) -> bytes:
    """The JSON body of a chat completion, assembled from bytes: each photo's base64 text is copied only once more."""
    chunks = [b'{"messages":[']
    if request.system:
        chunks += [_dumps({"role": "system", "content": request.system}), b","]
    chunks.append(b'{"role":"user","content":[')
    for n, part in enumerate(request.user):
        chunks += [b","] if n else []
        chunks += _part(part)
    chunks.append(b"]}],")
    if request.grammar is not None:
        chunks.append(_constraint(request.grammar))
    chunks.append(_dumps(_parameters(request, model, stream, send_priority))[1:])
    return b"".join(chunks)


def _part(part: EncodedPhoto | str) -> list[bytes]:
    if isinstance(part, str):
        return [_dumps({"type": "text", "text": part})]
    head = _dumps({"type": "image_url", "uuid": part.digest})[:-1]
    url = _dumps(f"data:{part.media_type};base64,")[:-1]
    return [head, b',"image_url":{"url":', url, b64encode(part.data), b'"}}']


@lru_cache(maxsize=8)
def _constraint(grammar: str) -> bytes:
    """The JSON field with the grammar. There are a few grammars of up to 54 kB, so each is encoded once."""
    return _dumps({"structured_outputs": {"grammar": grammar}})[1:-1] + b","


def _parameters(request: GenerateRequest, model: str, stream: bool, send_priority: bool) -> dict[str, object]:
    """Everything except messages and grammar. All decoding parameters are explicit, so that no server default applies."""
    decoding = request.decoding
    body: dict[str, object] = {
        "model": model,
        "request_id": request.request_id,
        "max_completion_tokens": decoding.max_new_tokens,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": decoding.repetition_penalty,
        "n": request.n,
    }
    if decoding.seed is not None:
        body["seed"] = decoding.seed
    if request.priority and send_priority:
        body["priority"] = request.priority
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def generation_of(answer: dict[str, Any]) -> Generation:
    """The answer of a completed request.

    Raises:
        EngineUnavailable: the engine aborted a completion (it is shutting down).
        EngineFailed: the answer does not have vLLM's format.
    """
    try:
        completions = sorted(
            (
                Completion(
                    index=choice["index"],
                    text=choice["message"]["content"] or "",
                    finish_reason=finish_reason_of(choice["finish_reason"]),
                )
                for choice in answer["choices"]
            ),
            key=lambda completion: completion.index,
        )
        usage = answer["usage"]
        return Generation(
            completions=tuple(completions),
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage["completion_tokens"] or 0,
            model=answer.get("model") or "",
        )
    except (KeyError, TypeError) as error:
        raise EngineFailed(f"the engine's answer has no field {error}") from error


def finish_reason_of(reason: str | None) -> FinishReason:
    """The finish reason as the port defines it. Raises as ``generation_of`` does."""
    if reason in ("stop", "length"):
        return reason
    if reason == "abort":
        raise EngineUnavailable("the engine aborted the generation; it is shutting down or restarting", RETRY_AFTER_S)
    raise EngineFailed(f"the generation ended for the unknown reason {reason!r}")


def failure_of(status: int, body: bytes, retry_after: str | None = None) -> Failure:
    """The meaning of an error response, or of an error inside a stream (by its code).

    >>> failure_of(400, b'{"error": {"message": "too long"}}').error
    EngineRefused('too long')
    >>> failure_of(503, b'{"error": {"message": "queue", "type": "Service Unavailable"}}').retryable
    False
    """
    kind, message = _error_of(body)
    message = message or f"the engine answered HTTP {status}"
    wait_s = _seconds(retry_after)
    if status in (400, 413, 415, 422):
        return Failure(error=EngineRefused(message), retryable=False)
    if status == 429 or (status == 503 and kind == "Service Unavailable"):  # vLLM's response when its queue is full
        return Failure(error=EngineOverloaded(message, wait_s), retryable=False)
    if status in (502, 503, 504):
        return Failure(error=EngineUnavailable(message, wait_s), retryable=True)
    if status >= 500:
        return Failure(error=EngineFailed(message), retryable=True)
    return Failure(
        error=EngineUnavailable(f"the engine rejects this client (HTTP {status}): {message}", 60.0), retryable=False
    )


def _error_of(body: bytes) -> tuple[str, str]:
    """The type and message of vLLM's error body; empty if another server, such as a proxy, answered."""
    try:
        answer = json.loads(body)
    except ValueError:
        return "", ""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return "", ""
    return str(error.get("type") or ""), str(error.get("message") or "")


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdigit() else RETRY_AFTER_S


def _dumps(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
