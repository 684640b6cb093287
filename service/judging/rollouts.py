"""The plan of the engine requests for a ticket, and the rollouts that come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from engine.protocol import DecodingParams
from vqc.answer_words import CHINESE, AnswerWords
from vqc.errors import InvalidValue
from vqc.verdict import VerdictOutcome, parse

LARGEST_WAVE = 64
"""The most samples of one engine request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEntry:
    """One engine request: its decode settings, seed base set, and the ``n`` candidates that it brings.

    Candidate i of the request is drawn with ``seed + i``.
    """

    decoding: DecodingParams
    n: int
    first_candidate: int

    @property
    def candidates(self) -> range:
        """The candidate indices of the request's completions, in their order."""
        return range(self.first_candidate, self.first_candidate + self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One sampled answer and its parsed outcome; an answer that does not parse is data, not an error.

    ``decoding`` are its request's, with the seed base: the answer itself was drawn with the seed of its place in the request.
    ``created_at`` is in UTC; None in tests.
    """

    candidate_index: int
    decoding: DecodingParams
    text: str
    outcome: VerdictOutcome
    created_at: datetime | None = None

    @property
    def temperature(self) -> float:
        """The temperature it was sampled at."""
        return self.decoding.temperature

    @property
    def record(self) -> dict[str, object]:
        """The JSON value from which ``restore_rollout`` makes the same rollout."""
        created_at = self.created_at and self.created_at.isoformat()
        return {"candidate_index": self.candidate_index, "text": self.text, "created_at": created_at}


def plan(grid: Sequence[DecodingParams], samples_per_decode: int, seed: int = 0) -> tuple[PlanEntry, ...]:
    """The engine requests for one ticket, in grid order; candidates are numbered through.

    A seed base closer than ``samples_per_decode`` to an earlier one moves up to the next free place, so that no two
    candidates share a seed; an entry without a seed starts at ``seed``. A greedy entry (temperature 0) has one sample.

    >>> grid = [DecodingParams(max_new_tokens=64, temperature=t, seed=s) for t, s in ((0.2, 42), (0.6, 43), (0.9, None))]
    >>> [(entry.decoding.seed, list(entry.candidates)) for entry in plan(grid, 2, seed=7)]
    [(42, [0, 1]), (44, [2, 3]), (7, [4, 5])]

    Raises:
        InvalidValue: an empty grid or a number of samples that no request carries.
    """
    if not grid:
        raise InvalidValue("sampler.grid", list(grid), "must have at least one decode setting")
    if not 1 <= samples_per_decode <= LARGEST_WAVE:
        raise InvalidValue("sampler.samples_per_decode", samples_per_decode, f"valid: 1 to {LARGEST_WAVE}")
    entries: list[PlanEntry] = []
    bases: list[int] = []
    for decoding in grid:
        base = _free_base(seed if decoding.seed is None else decoding.seed, bases, samples_per_decode)
        # Greedy decoding gives one answer however often it is sampled; counted as several votes it would win every ticket.
        n = samples_per_decode if decoding.temperature > 0 else 1
        first = entries[-1].candidates.stop if entries else 0
        entries.append(PlanEntry(decoding=replace(decoding, seed=base), n=n, first_candidate=first))
        bases.append(base)
    return tuple(entries)


def rollout(
    entry: PlanEntry, index: int, text: str, created_at: datetime | None = None, *, words: AnswerWords = CHINESE
) -> Rollout:
    """The rollout of completion ``index`` of an entry's request.

    >>> entry, = plan([DecodingParams(max_new_tokens=64, temperature=0.6)], 2)
    >>> rollout(entry, 1, "通过\\n理由: 挡风板安装方向正确").candidate_index
    1
    """
    return Rollout(
        candidate_index=entry.candidates[index],
        decoding=entry.decoding,
        text=text,
        outcome=parse(text, words),
        created_at=created_at,
    )


def restore_rollout(
    entries: Sequence[PlanEntry], record: Mapping[str, object], *, words: AnswerWords = CHINESE
) -> Rollout:
    """The rollout of this plan from its saved ``record``.

    >>> entries = plan([DecodingParams(max_new_tokens=64, temperature=0.6)], 2)
    >>> before = rollout(entries[0], 1, "建议复核")
    >>> restore_rollout(entries, before.record) == before
    True

    Raises:
        InvalidValue: the record is not of a rollout of this plan.
    """
    match record:
        case {"candidate_index": int(index), "text": str(text), "created_at": None | str() as created_at}:
            for entry in entries:
                if index in entry.candidates:
                    when = None if created_at is None else datetime.fromisoformat(created_at)
                    return rollout(entry, index - entry.first_candidate, text, when, words=words)
    raise InvalidValue("rollout", dict(record), "must be the record of a rollout of this plan")


def _free_base(wanted: int, taken: Sequence[int], spacing: int) -> int:
    # Ascending, so that moving up past one base can only run into the next.
    base = wanted
    for other in sorted(taken):
        if abs(base - other) < spacing:
            base = other + spacing
    return base
