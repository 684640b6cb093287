"""The response store in memory: for tests and trials."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from typing_extensions import override

from service.models.response_cache import CachedAnswer, ResponseStore


class MemoryResponses(ResponseStore):
    """Keeps each answer for ``keep_s``, the newest ``most`` of them."""

    def __init__(self, *, keep_s: float, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._answers: dict[str, tuple[float, CachedAnswer]] = {}
        self._keep_s = keep_s
        self._most = most
        self._clock = clock

    @override
    async def get(self, key: str) -> CachedAnswer | None:
        put_at, answer = self._answers.get(key, (0.0, None))
        return answer if self._clock() - put_at < self._keep_s else None

    @override
    async def put(self, key: str, answer: CachedAnswer) -> None:
        self._answers.pop(key, None)  # a dict keeps insertion order: put again, the answer is the newest
        self._answers[key] = (self._clock(), answer)
        while len(self._answers) > self._most:
            del self._answers[next(iter(self._answers))]
