"""Use case: judges one ticket by many sampled answers. Online judging and the training-free loop share it.

It owns the requests to the engine and the adaptive stop; ``judge``, ``selection`` and ``decision`` own the rules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

from engine.protocol import Engine, GenerateRequest, Generation
from service.guidance.guidance import Guidance
from service.judging.adaptive import can_stop
from service.judging.calibration import Calibration
from service.judging.decision import ReleaseRule, VerdictDecision, decide
from service.judging.evidence import SummaryConfidence, evidence
from service.judging.judge import Judgement, judge
from service.judging.rollouts import PlanEntry, Rollout, rollout
from service.judging.sampler import EvidenceKind, Sampler
from service.judging.selection import Selection, select
from service.platform.gather import gather_or_cancel
from vqc.contract import prompt_digest
from vqc.errors import InvalidValue
from vqc.grammar import verdict_grammar
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
    """The input of one judging: a ticket's lines, photos and mission.

    ``summaries`` are the Stage-A lines, one per photo (empty for a photo without one); every rollout is scored against
    them. ``photos`` are needed only where the sampler shows images. ``label`` is the verdict of people, if known: it is
    compared with the rollouts and never used to select one.
    """

    group_id: str
    mission: Mission
    summaries: tuple[str, ...] = ()
    photos: tuple[EncodedPhoto, ...] = ()
    label: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """An answered engine request: its rollouts and cost, and the ticket's votes so far."""

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
"""Called with each completed wave, for example to save its rollouts. An error that it raises ends the judging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTicket:
    """The result of a judging. ``rollouts`` are ordered by candidate index; ``judgements`` are of those that parsed.

    ``chosen`` is the judgement of the selected rollout (None if none parsed). ``planned`` counts the samples of the
    whole plan, including those that the adaptive stop skipped.
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
    """Judges tickets with one engine, which the caller has pinned. It holds no state between calls."""

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
        release: ReleaseRule = ReleaseRule.CALIBRATED,
        finished: Sequence[Rollout] = (),
        on_wave: OnWave | None = None,
    ) -> JudgedTicket:
        """Judges the ticket.

        With ``sampler.adaptive`` the waves run in sequence until the majority is clear, otherwise all at once.
        ``finished`` are rollouts of an earlier, interrupted call: a wave that is complete in them is not requested again,
        and the result equals that of an uninterrupted call. ``calibration`` and ``release`` decide whether a 通过 is released.
        Cancelling the call aborts the generation. ``timeout_s`` is the deadline of each engine request.

        Raises:
            InvalidValue: the ticket lacks the evidence that the sampler shows.
            EngineError: the engine did not answer; waves that ``on_wave`` received stay valid.
        """
        prompt, images = _prompt_and_photos(ticket, guidance, sampler.evidence)
        run = _Run(sampler, finished)

        async def wave(index: int, entry: PlanEntry) -> None:
            request = GenerateRequest(
                request_id=f"{request_id}-{index}",
                system=prompt.system,
                user=prompt.parts(images),
                decoding=entry.decoding,
                n=entry.n,
                grammar=verdict_grammar(ticket.mission.words),
                priority=self._priority,
                timeout_s=timeout_s,
            )
            started = perf_counter()
            generation = await self._engine.generate(request)
            seconds, now = perf_counter() - started, self._clock()
            words = ticket.mission.words
            new = tuple(rollout(entry, one.index, one.text, now, words=words) for one in generation.completions)
            run.add(new)
            if on_wave:
                await on_wave(run.progress(index, new, generation, seconds))

        if sampler.adaptive is None:
            await gather_or_cancel(
                wave(index, entry) for index, entry in enumerate(sampler.waves) if not run.has(entry)
            )
        else:
            # The stop is checked before every wave, finished ones included, and only on the votes of earlier waves. So a
            # resumed ticket stops where an uninterrupted one would have, even if rollouts of later waves were saved.
            for index, entry in enumerate(sampler.waves):
                if run.can_stop_before(entry):
                    break
                if not run.has(entry):
                    await wave(index, entry)
        return _judged_ticket(ticket, guidance, sampler, run.rollouts, (calibration, release), prompt_digest(prompt))


class _Run:
    """The rollouts of one ticket so far."""

    def __init__(self, sampler: Sampler, finished: Sequence[Rollout]) -> None:
        self._sampler = sampler
        self._by_candidate = {one.candidate_index: one for one in finished}
        for entry in sampler.waves:
            if not self.has(entry):  # an incomplete wave is requested again as a whole: its seeds belong to one request
                for candidate in entry.candidates:
                    self._by_candidate.pop(candidate, None)

    @property
    def rollouts(self) -> tuple[Rollout, ...]:
        return tuple(one for _, one in sorted(self._by_candidate.items()))

    def has(self, entry: PlanEntry) -> bool:
        return all(candidate in self._by_candidate for candidate in entry.candidates)

    def add(self, rollouts: Sequence[Rollout]) -> None:
        self._by_candidate |= {one.candidate_index: one for one in rollouts}

    def can_stop_before(self, entry: PlanEntry) -> bool:
        """Whether the votes of the waves before this one settle the ticket; votes of later waves are ignored."""
        threshold = self._sampler.adaptive
        before = [one for one in self.rollouts if one.candidate_index < entry.first_candidate]
        passes, fails = _votes(before)
        remaining = self._sampler.sample_count - entry.first_candidate
        return threshold is not None and can_stop(passes, fails, threshold=threshold, remaining=remaining)

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
            planned=self._sampler.sample_count,
        )


def _prompt_and_photos(
    ticket: TicketInput, guidance: Guidance, kind: EvidenceKind
) -> tuple[Prompt, tuple[EncodedPhoto, ...]]:
    """What the model sees. Raises ``InvalidValue`` where the ticket lacks that evidence."""
    if kind.shows_summaries and not ticket.summaries:
        raise InvalidValue("summaries", ticket.summaries, f"evidence {kind.value!r} needs a line per photo")
    if kind.shows_images and not ticket.photos:
        raise InvalidValue("photos", len(ticket.photos), f"evidence {kind.value!r} needs the photos")
    mission = ticket.mission.model_copy(update={"focus": guidance.focus})
    summaries = ticket.summaries if kind.shows_summaries else ()
    prompt = stage_b_prompt(mission, summaries, guidance.prompt_rules)
    return prompt, ticket.photos if kind.shows_images else ()


def _judged_ticket(
    ticket: TicketInput,
    guidance: Guidance,
    sampler: Sampler,
    rollouts: tuple[Rollout, ...],
    gates: tuple[Calibration | None, ReleaseRule],
    digest: str,
) -> JudgedTicket:
    shown = evidence(ticket.mission, ticket.summaries)
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
        decision=decide(ticket.mission, chosen, shown, *gates),
        summary_confidence=shown.confidence,
        planned=sampler.sample_count,
        prompt_digest=digest,
    )


def _votes(rollouts: Sequence[Rollout]) -> tuple[int, int]:
    verdicts = [one.outcome.answer.verdict for one in rollouts if one.outcome.answer is not None]
    return verdicts.count(Verdict.PASS), verdicts.count(Verdict.FAIL)
