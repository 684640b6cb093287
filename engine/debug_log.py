"""Debug lines about requests to an engine: what is asked, with which settings, and how it ended.

Texts, photos and answers appear as digests and sizes only. Costs nothing unless debug lines are written.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from time import monotonic

import structlog

from engine.protocol import Delta, GenerateRequest, Generation

_log = structlog.get_logger("vqc.engine")
_SECRET = re.compile(r"key|token|secret|password", re.IGNORECASE)
_USER = re.compile(r"(?<=//)\S*@")


class Exchange:
    """One request. ``finish`` takes its answer, or each piece of it; it is complete if the last one has a finish reason."""

    def __init__(self) -> None:
        self._answer: Generation | Delta | None = None

    def finish(self, answer: Generation | Delta) -> None:
        """Keeps the answer for the log."""
        self._answer = answer

    def outcome(self) -> dict[str, object]:
        """What the answer was, without its text."""
        answer = self._answer
        if answer is None or (isinstance(answer, Delta) and answer.finish_reason is None):
            return {"outcome": "aborted"}
        ends = (
            [one.finish_reason for one in answer.completions]
            if isinstance(answer, Generation)
            else answer.finish_reason
        )
        return {
            "outcome": "answered",
            "finish_reason": ends,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
        }


@contextmanager
def log_exchange(request: GenerateRequest, *, engine: str, model: str) -> Generator[Exchange]:
    """Writes a line before the block and one after it."""
    exchange = Exchange()
    if not _log.is_enabled_for(logging.DEBUG):
        yield exchange
        return
    began = monotonic()
    _log.debug("engine_asked", engine=_USER.sub("…@", engine), model=model, **_settings(request))
    end: dict[str, object] = {}
    try:
        yield exchange
        end = exchange.outcome()
    except GeneratorExit:
        end = exchange.outcome()
        raise
    except BaseException as error:
        end = {"outcome": type(error).__name__}
        raise
    finally:
        _log.debug("engine_answered", request_id=request.request_id, seconds=round(monotonic() - began, 3), **end)


def without_secrets(values: Sequence[str]) -> list[str]:
    """Command-line arguments as they may be logged: no keys, no passwords.

    >>> without_secrets(["--api-key", "x", "--hf-token=y", "--port", "1", "http://a:b@host"])
    ['--api-key', '…', '--hf-token=…', '--port', '1', 'http://…@host']
    """
    shown: list[str] = []
    for before, value in zip(["", *values], values, strict=False):
        option, equals, _ = value.partition("=")
        if equals and _SECRET.search(option):
            shown.append(f"{option}=…")
        elif before.startswith("-") and "=" not in before and _SECRET.search(before) and not value.startswith("-"):
            shown.append("…")
        else:
            shown.append(_USER.sub("…@", value))
    return shown


def _settings(request: GenerateRequest) -> dict[str, object]:
    texts = [request.system, *(part for part in request.user if isinstance(part, str))]
    photos = [part for part in request.user if not isinstance(part, str)]
    return {
        "request_id": request.request_id,
        "photos": [f"{photo.media_type} {photo.digest[:12]} {len(photo.data)} B" for photo in photos],
        "prompt": f"{_digest(*texts)} {sum(map(len, texts))} characters",
        "n": request.n,
        **asdict(request.decoding),
        "grammar": None if request.grammar is None else f"{_digest(request.grammar)} {len(request.grammar)} characters",
        "priority": request.priority,
        "timeout_s": request.timeout_s,
    }


def _digest(*texts: str) -> str:
    return sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest()[:12]
