"""The answers of ``vqc-bench swap``: what counts as an error, which model wrote a caption, and the row of a swap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import httpx

from loadtest.quantiles import quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapAnswer:
    """One answer; ``began`` and ``ended`` are moments (``perf_counter``). ``photo`` and ``caption`` are None for Stage-A."""

    began: float
    ended: float
    digest: str | None
    problem: str | None
    photo: int | None = None
    caption: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapRow:
    """One swap. ``requests`` and ``errors`` count requests in flight or begun between the call and ``steady_s`` after it.

    ``foreign`` captions name one model, but only the other model writes them word for word. ``steady_p50_ms`` is of the time
    before the call.
    """

    move: str
    mode: str
    seconds: float
    double_memory_s: float
    requests: int
    errors: int
    foreign: int
    by_old: int
    by_new: int
    steady_p50_ms: float | None
    p50_ms: float | None
    longest_ms: float | None


def read_answer(began: float, response: httpx.Response | str, photo: int | None) -> SwapAnswer:
    """The answer in a response, which has just arrived; a text instead of a response is the error of the request."""
    ended = perf_counter()
    if isinstance(response, str):
        return SwapAnswer(began=began, ended=ended, digest=None, problem=response)
    if response.status_code != 200:
        problem = f"status {response.status_code}: {response.text[:300]}"
        return SwapAnswer(began=began, ended=ended, digest=None, problem=problem)
    body = response.json()
    digest, problem = body["model"]["digest"], None
    if response.headers.get("x-vqc-model") != f"{body['model']['alias']}@{digest}":
        problem = f"header and body name different models: {response.headers.get('x-vqc-model')!r} and {digest!r}"
    for entry in body.get("photos", []):
        if "problem" in entry and entry["problem"]["status"] != 502:  # a random model's line may be malformed
            problem = problem or str(entry["problem"])
    caption = str(body["caption"]) if photo is not None else None
    return SwapAnswer(began=began, ended=ended, digest=digest, problem=problem, photo=photo, caption=caption)


def swap_row(
    answers: Sequence[SwapAnswer], move: str, swapped: dict[str, Any], before: float, called: float, ended: float
) -> SwapRow:
    """The row of a swap: ``swapped`` is the API's report; ``before``, ``called`` and ``ended`` bound the span."""
    during = [answer for answer in answers if answer.ended >= called and answer.began <= ended]
    steady = sorted(
        answer.ended - answer.began for answer in answers if before <= answer.began and answer.ended < called
    )
    took = sorted(answer.ended - answer.began for answer in during)
    return SwapRow(
        move=move,
        mode=swapped["mode"],
        seconds=swapped["seconds"],
        double_memory_s=swapped["double_memory_s"],
        requests=len(during),
        errors=sum(answer.problem is not None for answer in during),
        foreign=count_foreign(answers, during),
        by_old=sum(answer.digest == swapped["before"] for answer in during),
        by_new=sum(answer.digest == swapped["digest"] for answer in during),
        steady_p50_ms=_ms(steady, 0.5),
        p50_ms=_ms(took, 0.5),
        longest_ms=_ms(took, 1.0),
    )


def count_foreign(answers: Sequence[SwapAnswer], during: Sequence[SwapAnswer]) -> int:
    """How many of ``during`` another model wrote for the same photo, while the named model never did at another time."""
    wrote: dict[tuple[int | None, str | None], set[str | None]] = {}
    ids_during = set(map(id, during))
    for answer in answers:
        if answer.caption is not None and id(answer) not in ids_during:
            wrote.setdefault((answer.photo, answer.digest), set()).add(answer.caption)
    return sum(
        answer.caption not in wrote.get((answer.photo, answer.digest), {answer.caption})
        and any(answer.caption in captions for (photo, _), captions in wrote.items() if photo == answer.photo)
        for answer in during
        if answer.caption is not None
    )


def _ms(ascending: Sequence[float], q: float) -> float | None:
    return round(quantile(ascending, q) * 1000, 1) if ascending else None
