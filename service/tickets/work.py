"""What a worker does for one claimed group: Stage-A for photos without a line, then waves of verdicts, step by step saved.

Every step is resumable: what an earlier attempt has saved is not asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import perf_counter

from opentelemetry.trace import get_tracer

from engine.errors import EngineRefused
from engine.protocol import DecodingParams, Engine
from service.guidance.guidance import Guidance
from service.judging.judge_ticket import JudgeTicket, TicketInput, Wave
from service.judging.rollouts import restore_rollout
from service.judging.sampler import EvidenceKind, Sampler
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.photos.stage_a import SummarisePhotos
from service.platform.errors import AnswerMalformed, BlobMissing
from service.platform.gather import together
from service.tickets.blobs import BlobStore
from service.tickets.manage import finished_event
from service.tickets.outcome import outcome_of
from service.tickets.ports import GuidanceSource, ThresholdSource, TicketObserver
from service.tickets.store import Change, Event
from service.tickets.ticket import Pinned, Ticket, TicketPhoto
from vqc import summary
from vqc.errors import InvalidValue
from vqc.image import EncodedPhoto
from vqc.missions import Mission, mission_named

_tracer = get_tracer("vqc.tickets")

Save = Callable[[Callable[[Ticket], Change]], Awaitable[Ticket]]
"""Changes the ticket's record; raises ``Superseded`` when the claim is no longer in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How tickets are judged: a sampler per kind of evidence, the decoding of Stage-A lines, deadlines in seconds."""

    samplers: Mapping[EvidenceKind, Sampler]
    stage_a: DecodingParams
    timeout_s: float


class WorkOnTicket:
    """Takes a claimed ticket to its final record with whatever model is in force."""

    def __init__(
        self,
        *,
        models: ModelRouter,
        stage_a: SummarisePhotos,
        blobs: BlobStore,
        guidance: GuidanceSource,
        thresholds: ThresholdSource,
        judging: Judging,
        observer: TicketObserver,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._models = models
        self._stage_a = stage_a
        self._blobs = blobs
        self._guidance = guidance
        self._thresholds = thresholds
        self._judging = judging
        self._observer = observer
        self._clock = clock

    async def __call__(self, ticket: Ticket, save: Save) -> Ticket:
        """The ticket with its final record.

        Raises:
            EngineError: the engine does not answer, or not this ticket; what was saved stays.
            InvalidValue, BlobMissing: the ticket cannot be judged at all.
        """
        mission = mission_named(ticket.mission)
        sampler = self._judging.samplers[ticket.evidence]
        async with self._models.pin(ticket.id) as pinned:
            guidance = await self._guidance_for(ticket, mission, pinned.model, sampler)
            ticket = await self._pinned(ticket, save, pinned.model, guidance, sampler)
            with _tracer.start_as_current_span("stage-a"):
                ticket = await self._summarised(ticket, save, pinned.engine, mission)
            with _tracer.start_as_current_span("stage-b"):
                return await self._judged(ticket, save, pinned.engine, mission, guidance, sampler)

    async def ready(self) -> bool:
        """Whether the engine would answer now."""
        return (await self._models.health()).ready

    async def _guidance_for(self, ticket: Ticket, mission: Mission, model: ServedModel, sampler: Sampler) -> Guidance:
        """The version that the ticket was begun with, if everything else it was begun with is still in force too."""
        begun = ticket.pinned
        if begun is not None and begun == _pin(model, begun.guidance, sampler):
            try:
                return await asyncio.to_thread(self._guidance.version, mission, begun.guidance)
            except InvalidValue:
                pass  # no longer kept: begun again under the version in force
        return await asyncio.to_thread(self._guidance.in_force, mission)

    async def _pinned(
        self, ticket: Ticket, save: Save, model: ServedModel, guidance: Guidance, sampler: Sampler
    ) -> Ticket:
        pin = _pin(model, guidance.digest, sampler)
        if ticket.pinned == pin:
            return ticket
        data = {"model": {"alias": model.alias, "digest": model.digest}, "guidance": guidance.digest}
        return await save(lambda now: (now.pinned_to(ticket.fence, pin), [Event(name="pinned", data=data)]))

    async def _summarised(self, ticket: Ticket, save: Save, engine: Engine, mission: Mission) -> Ticket:
        if all(photo.summary is not None or photo.problem is not None for photo in ticket.photos):
            return ticket
        started = perf_counter()
        photos = tuple(await together(self._with_line(ticket, photo, engine, mission) for photo in ticket.photos))
        lines = [{"image_id": p.image_id, "summary": p.summary, "problem": p.problem} for p in photos]
        event = Event(name="stage_a", data={"photos": lines})
        self._observer.stage("stage_a", perf_counter() - started)
        return await save(lambda now: (now.summarised(ticket.fence, photos), [event]))

    async def _with_line(self, ticket: Ticket, photo: TicketPhoto, engine: Engine, mission: Mission) -> TicketPhoto:
        if photo.summary is not None or photo.problem is not None or photo.digest is None:
            return photo
        try:
            result = await self._stage_a.line(
                await self._blobs.get(photo.digest),
                engine=engine,
                mission=mission,
                request_id=f"{ticket.job_id}-{photo.image_id}",
                decoding=self._judging.stage_a,
                timeout_s=self._judging.timeout_s,
            )
        except (InvalidValue, EngineRefused, AnswerMalformed, BlobMissing) as error:
            return replace(photo, problem=str(error))
        assert result.outcome.summary is not None  # the use case raises instead
        return replace(photo, summary=summary.render(result.outcome.summary))

    async def _judged(
        self, ticket: Ticket, save: Save, engine: Engine, mission: Mission, guidance: Guidance, sampler: Sampler
    ) -> Ticket:
        assert ticket.pinned is not None  # by _pinned
        records, started = list(ticket.rollouts), perf_counter()

        async def on_wave(wave: Wave) -> None:
            self._observer.wave(wave)
            records.extend(one.record for one in wave.rollouts)
            votes = {"通过": wave.passes, "不通过": wave.fails}
            event = Event(name="wave", data={"sampled": wave.sampled, "planned": wave.planned, "votes": votes})
            rollouts = tuple(records)
            await save(lambda now: (now.sampled(ticket.fence, rollouts), [event]))

        find = self._thresholds.find
        calibration = await asyncio.to_thread(find, guidance, model=ticket.pinned.model_digest, sampler=sampler.digest)
        judged = await JudgeTicket(engine)(
            TicketInput(
                group_id=ticket.ticket_id or ticket.id,
                mission=mission,
                summaries=tuple(photo.summary or "" for photo in ticket.photos),
                photos=await self._images(ticket.photos) if ticket.evidence.shows_images else (),
            ),
            guidance=guidance,
            sampler=sampler,
            request_id=ticket.job_id,
            timeout_s=self._judging.timeout_s,
            calibration=calibration,
            finished=[restore_rollout(sampler.waves, record) for record in ticket.rollouts],
            on_wave=on_wave,
        )
        self._observer.samples(len(judged.rollouts), judged.planned)
        outcome = outcome_of(judged, calibration, ticket.photos)
        self._observer.stage("stage_b", perf_counter() - started)
        now = self._clock()
        verdict = None if outcome.review_reasons else outcome.verdict

        def final(current: Ticket) -> Change:
            after = current.judged(ticket.fence, outcome, now)
            told = {"verdict": verdict, "reason": outcome.reason, "review_reasons": outcome.review_reasons}
            return after, [finished_event(after.state, after.run, now, **told)]

        saved = await save(final)
        self._observer.judged(ticket.mission, outcome)
        return saved

    async def _images(self, photos: Sequence[TicketPhoto]) -> tuple[EncodedPhoto, ...]:
        async def image(photo: TicketPhoto) -> EncodedPhoto:
            if photo.digest is None or photo.media_type is None:
                raise InvalidValue("photos", photo.image_id, "must be there itself where images are evidence")
            data = await self._blobs.get(photo.digest)
            return EncodedPhoto(data=data, media_type=photo.media_type, digest=photo.digest)

        return tuple(await together(map(image, photos)))


def _pin(model: ServedModel, guidance: str, sampler: Sampler) -> Pinned:
    return Pinned(model_alias=model.alias, model_digest=model.digest, guidance=guidance, sampler=sampler.digest)
