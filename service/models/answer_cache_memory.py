"""Answers given before, in this process: for tests and trials."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from service.models.answer_cache import KeptAnswer


class MemoryAnswers:
    """Keeps each answer for ``keep_s``, the newest ``most`` of them."""

    def __init__(self, *, keep_s: float, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._answers: dict[str, tuple[float, KeptAnswer]] = {}
        self._keep_s = keep_s
        self._most = most
        self._clock = clock

    async def get(self, key: str) -> KeptAnswer | None:
        """See ``AnswerStore``."""
        put_at, answer = self._answers.get(key, (0.0, None))
        return answer if self._clock() - put_at < self._keep_s else None

    async def put(self, key: str, answer: KeptAnswer) -> None:
        """See ``AnswerStore``."""
        self._answers.pop(key, None)
        self._answers[key] = (self._clock(), answer)
        while len(self._answers) > self._most:
            del self._answers[next(iter(self._answers))]
