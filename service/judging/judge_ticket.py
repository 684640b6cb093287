"""Use case: the verdict of one ticket, from many sampled ones. The online path and the training-free loop share it.

Owns the requests to the engine and when to stop asking; scores and selection are ``service.domain.stage_b``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

from engine.protocol import Engine, GenerateRequest, Generation
from service.guidance.guidance import Guidance
from service.judging.adaptive import enough
from service.judging.calibration import Calibration
from service.judging.decision import VerdictDecision, decide
from service.judging.evidence import SummaryConfidence, evidence
from service.judging.judge import Judgement, judge
from service.judging.rollouts import PlanEntry, Rollout, rollout
from service.judging.sampler import EvidenceKind, Sampler
from service.judging.selection import Selection, select
from vqc.contract import prompt_digest
from vqc.errors import InvalidValue
from vqc.grammar import VERDICT_GRAMMAR
from vqc.image import EncodedPhoto
from vqc.missions import Mission
from vqc.prompts import Prompt, stage_b_prompt
from vqc.verdict import Verdict

PRIORITY = 10
"""After captions (0) and Stage-A (5)."""

Clock = Callable[[], datetime]
"""The time now, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketInput:
    """A group of photos to be judged for one mission.

    ``summaries`` are the Stage-A lines, one per photo, and what every rollout is scored against; a photo without one
    has an empty line. ``photos`` are needed only where the sampler shows images. ``label`` is the verdict that people
    filed, if known: it is compared, never used to select.
    """

    group_id: str
    mission: Mission
    summaries: tuple[str, ...] = ()
    photos: tuple[EncodedPhoto, ...] = ()
    label: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """One engine request has been answered: its new rollouts, what they took, and how far the ticket is."""

    index: int
    rollouts: tuple[Rollout, ...]
    seconds: float
    prompt_tokens: int
    completion_tokens: int
    passes: int
    fails: int
    sampled: int
    planned: int


OnWave = Callable[[Wave], Awaitable[None]]
"""Hears of each wave as it completes and may keep its rollouts; an error that it raises ends the ticket's judging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTicket:
    """What came of a ticket. ``rollouts`` are all, by candidate index; ``judgements`` those that parsed.

    ``selection`` says which of them speaks for the ticket, ``chosen`` is its judgement (None without a parsed one) and
    ``decision`` what to do: give the verdict, or have a person look. ``planned`` counts the samples of the whole plan.
    """

    ticket: TicketInput
    guidance: Guidance
    rollouts: tuple[Rollout, ...]
    judgements: tuple[Judgement, ...]
    selection: Selection
    chosen: Judgement | None
    decision: VerdictDecision
    summary_confidence: SummaryConfidence
    planned: int
    prompt_digest: str


class JudgeTicket:
    """Judges tickets with one engine, which the caller has pinned. Cheap to make; holds no state."""

    def __init__(self, engine: Engine, *, priority: int = PRIORITY, clock: Clock = lambda: datetime.now(UTC)) -> None:
        self._engine = engine
        self._priority = priority
        self._clock = clock

    async def __call__(
        self,
        ticket: TicketInput,
        *,
        guidance: Guidance,
        sampler: Sampler,
        request_id: str,
        timeout_s: float,
        calibration: Calibration | None = None,
        finished: Sequence[Rollout] = (),
        on_wave: OnWave | None = None,
    ) -> JudgedTicket:
        """The judged ticket, after as many waves as it takes.

        With ``sampler.adaptive`` the waves run one after the other until the majority is clear, else all at once. A wave
        whose rollouts are all in ``finished`` (of an earlier, interrupted call) is not asked again; the result is the
        same as without the interruption. ``calibration`` None releases every 通过 that needs no recheck. Cancelling the
        call aborts what is being generated. ``timeout_s`` is the deadline of each engine request.

        Raises:
            InvalidValue: a ticket without the evidence that the sampler shows.
            EngineError: no answer; what ``on_wave`` was told stays valid.
        """
        prompt, images = _shown(ticket, guidance, sampler.evidence)
        run = _Run(sampler, finished)

        async def wave(index: int, entry: PlanEntry) -> None:
            request = GenerateRequest(
                request_id=f"{request_id}-{index}",
                system=prompt.system,
                user=prompt.parts(images),
                decoding=entry.decoding,
                n=entry.n,
                grammar=VERDICT_GRAMMAR,
                priority=self._priority,
                timeout_s=timeout_s,
            )
            started = perf_counter()
            generation = await self._engine.generate(request)
            seconds, now = perf_counter() - started, self._clock()
            new = tuple(rollout(entry, completion.index, completion.text, now) for completion in generation.completions)
            run.add(new)
            if on_wave:
                await on_wave(run.progress(index, new, generation, seconds))

        if sampler.adaptive is None:
            await _together([wave(index, entry) for index, entry in enumerate(sampler.waves) if not run.has(entry)])
        else:
            for index, entry in enumerate(sampler.waves):
                if run.enough_before(entry):
                    break
                if not run.has(entry):
                    await wave(index, entry)
        return _judged(ticket, guidance, sampler, run.rollouts, calibration, prompt_digest(prompt))


class _Run:
    """The rollouts that one ticket has so far."""

    def __init__(self, sampler: Sampler, finished: Sequence[Rollout]) -> None:
        self._sampler = sampler
        self._by_candidate = {one.candidate_index: one for one in finished}
        for entry in sampler.waves:
            if not self.has(entry):  # half a wave is asked again as a whole
                for candidate in entry.candidates:
                    self._by_candidate.pop(candidate, None)

    @property
    def rollouts(self) -> tuple[Rollout, ...]:
        return tuple(one for _, one in sorted(self._by_candidate.items()))

    def has(self, entry: PlanEntry) -> bool:
        return all(candidate in self._by_candidate for candidate in entry.candidates)

    def add(self, rollouts: Sequence[Rollout]) -> None:
        self._by_candidate |= {one.candidate_index: one for one in rollouts}

    def enough_before(self, entry: PlanEntry) -> bool:
        """Whether the votes of the waves before this one settle the ticket, whatever later waves have brought."""
        threshold = self._sampler.adaptive
        before = [one for one in self.rollouts if one.candidate_index < entry.first_candidate]
        passes, fails = _votes(before)
        remaining = self._sampler.planned - entry.first_candidate
        return threshold is not None and enough(passes, fails, threshold=threshold, remaining=remaining)

    def progress(self, index: int, new: tuple[Rollout, ...], generation: Generation, seconds: float) -> Wave:
        passes, fails = _votes(self.rollouts)
        return Wave(
            index=index,
            rollouts=new,
            seconds=seconds,
            prompt_tokens=generation.prompt_tokens,
            completion_tokens=generation.completion_tokens,
            passes=passes,
            fails=fails,
            sampled=len(self._by_candidate),
            planned=self._sampler.planned,
        )


def _shown(ticket: TicketInput, guidance: Guidance, kind: EvidenceKind) -> tuple[Prompt, tuple[EncodedPhoto, ...]]:
    """What the model is shown: the prompt and the photos."""
    if kind.shows_summaries and not ticket.summaries:
        raise InvalidValue("summaries", ticket.summaries, f"evidence {kind.value!r} needs a line per photo")
    if kind.shows_images and not ticket.photos:
        raise InvalidValue("photos", len(ticket.photos), f"evidence {kind.value!r} needs the photos")
    mission = ticket.mission.model_copy(update={"focus": guidance.focus})
    summaries = ticket.summaries if kind.shows_summaries else ()
    prompt = stage_b_prompt(mission, summaries, guidance.prompt_rules)
    return prompt, ticket.photos if kind.shows_images else ()


def _judged(
    ticket: TicketInput,
    guidance: Guidance,
    sampler: Sampler,
    rollouts: tuple[Rollout, ...],
    calibration: Calibration | None,
    digest: str,
) -> JudgedTicket:
    judgements = judge(ticket.mission, ticket.summaries, rollouts, ticket.label)
    selection = select([one.candidate for one in judgements])
    chosen = next((one for one in judgements if one.rollout.candidate_index == selection.candidate_index), None)
    return JudgedTicket(
        ticket=ticket,
        guidance=guidance,
        rollouts=rollouts,
        judgements=judgements,
        selection=selection,
        chosen=chosen,
        decision=decide(ticket.mission, chosen, calibration),
        summary_confidence=evidence(ticket.mission, ticket.summaries).confidence,
        planned=sampler.planned,
        prompt_digest=digest,
    )


def _votes(rollouts: Sequence[Rollout]) -> tuple[int, int]:
    verdicts = [one.outcome.answer.verdict for one in rollouts if one.outcome.answer is not None]
    return verdicts.count(Verdict.PASS), verdicts.count(Verdict.FAIL)


async def _together(waves: Sequence[Awaitable[None]]) -> None:
    """All waves at once; the first error cancels the others and is raised as it is."""

    async def awaited(wave: Awaitable[None]) -> None:
        await wave

    try:
        async with asyncio.TaskGroup() as group:
            for wave in waves:
                group.create_task(awaited(wave))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
