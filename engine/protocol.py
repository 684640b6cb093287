"""The port to a vision-language engine: requests, answers, health.

Values only; ``engine.client`` speaks HTTP to vLLM, ``engine.scripted`` answers without a model. One behaviour suite
(``tests/support/engine_suite.py``) runs over every adapter.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from vqc.errors import InvalidValue
from vqc.image import EncodedPhoto

FinishReason = Literal["stop", "length"]

MAX_NEW_TOKENS = 8192
"""The longest answer that a request may ask for, in tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingParams:
    """How an answer is decoded. The defaults are deterministic: ``temperature`` 0 is greedy.

    ``max_new_tokens`` counts the tokens of the answer only.

    Raises:
        InvalidValue: a parameter outside its range, named with the range.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        tokens = f"1 to {MAX_NEW_TOKENS}"
        _check("max_new_tokens", self.max_new_tokens, 1 <= self.max_new_tokens <= MAX_NEW_TOKENS, tokens)
        _check("temperature", self.temperature, 0 <= self.temperature <= 2, "0 to 2")
        _check("top_p", self.top_p, 0 < self.top_p <= 1, "above 0, at most 1")
        _check("repetition_penalty", self.repetition_penalty, 0 < self.repetition_penalty <= 2, "above 0, at most 2")
        _check("seed", self.seed, self.seed is None or 0 <= self.seed < 2**31, "0 to 2147483647")


def _check(field: str, value: float | None, in_range: bool, valid: str) -> None:
    if not in_range or (value is not None and not math.isfinite(value)):
        raise InvalidValue(field, value, f"valid: {valid}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """One chat turn: a system text, then photos and texts in the given order.

    A photo is sent to the engine byte for byte; its digest is the key of the engine's multimodal cache.

    The engine generates ``n`` answers, answer i with the seed ``decoding.seed + i``. ``grammar`` is the GBNF that every
    answer must follow. A lower ``priority`` is served earlier. ``timeout_s`` is the deadline for the whole request.
    """

    request_id: str
    system: str
    user: tuple[EncodedPhoto | str, ...]
    decoding: DecodingParams
    n: int = 1
    grammar: str | None = None
    priority: int = 0
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One of the ``n`` answers. ``length`` means that it was truncated at ``max_new_tokens``."""

    index: int
    text: str
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """All ``n`` completions, ordered by index, and the tokens used.

    ``model`` is the server's name for itself. ``cached`` means that the answer was generated for another request.
    """

    completions: tuple[Completion, ...]
    prompt_tokens: int
    completion_tokens: int
    model: str = ""
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a streamed answer (completion 0). The last one has ``finish_reason``, token counts and ``model``."""

    text: str
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model: str = ""
    cached: bool = False


class StartPhase(StrEnum):
    """What a starting engine is doing."""

    STARTING = "starting"
    CORE = "core"
    LOADING = "loading"
    COMPILING = "compiling"
    SERVER = "server"
    WARMING_UP = "warming_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the engine answers now; ``reason`` explains why not, or how far the start-up is (``phase``)."""

    ready: bool
    reason: str
    restarts: int = 0
    phase: StartPhase | None = None


class Engine(Protocol):
    """A vision-language engine. Cancelling the awaiting task aborts the generation and frees its slot.

    Both calls raise the errors of ``engine.errors``, after one retry where a retry may help (for a stream only before its
    first delta).
    """

    async def generate(self, request: GenerateRequest) -> Generation:
        """The complete answer."""
        ...

    def stream(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """The answer in pieces; closing the generator aborts the generation."""
        ...

    async def health(self) -> Health:
        """Whether a request would be answered now, according to the engine itself."""
        ...

    async def aclose(self) -> None:
        """Closes the connections; a managed engine is stopped."""
        ...
