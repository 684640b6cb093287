"""The work on a claimed ticket: Stage-A for photos without a line, then waves of verdicts. Every step is saved.

Every step is resumable: what an earlier attempt has saved is not generated again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import perf_counter

from opentelemetry.trace import get_tracer

from engine.errors import EngineRefused
from engine.protocol import DecodingParams, Engine
from service.guidance.guidance import Guidance
from service.guidance.store import GuidanceStore
from service.judging.decision import ReleaseRule
from service.judging.judge_ticket import JudgeTicket, TicketInput, Wave
from service.judging.rollouts import restore_rollout
from service.judging.sampler import EvidenceKind, Sampler
from service.judging.thresholds import Thresholds
from service.models.roles import ServedModel
from service.models.router import ModelRouter, PinnedModel
from service.photos.stage_a import SummarisePhotos
from service.platform.errors import AnswerMalformed, BlobMissing
from service.platform.gather import gather_or_cancel
from service.tickets.blob_store import BlobStore
from service.tickets.claim import TicketClaim
from service.tickets.outcome import outcome_of
from service.tickets.ports import TicketObserver
from service.tickets.ticket import JudgedWith, Ticket, TicketPhoto
from vqc import summary
from vqc.errors import InvalidValue, PhotoRejected
from vqc.image import EncodedPhoto
from vqc.missions import Mission, mission_named

_tracer = get_tracer("vqc.tickets")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingConfig:
    """How tickets are judged: a sampler per kind of evidence, the decoding of Stage-A lines, the deadline of a request.

    ``release`` says what a 通过 needs to leave without a person.
    """

    samplers: Mapping[EvidenceKind, Sampler]
    stage_a: DecodingParams
    timeout_s: float
    release: ReleaseRule = ReleaseRule.CALIBRATED


class WorkOnTicket:
    """Takes a claimed ticket to its final record with the active model and guidance."""

    def __init__(
        self,
        *,
        models: ModelRouter,
        stage_a: SummarisePhotos,
        blobs: BlobStore,
        guidance: GuidanceStore,
        thresholds: Thresholds,
        judging: JudgingConfig,
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

    async def __call__(self, claim: TicketClaim) -> None:
        """Judges the ticket and saves its final record.

        Raises:
            EngineError: the engine does not answer, or rejects this ticket; saved steps remain.
            InvalidValue, BlobMissing: the ticket cannot be judged at all.
            Superseded: the claim is no longer active.
        """
        mission_named(claim.ticket.mission)  # raises before it waits for a model
        sampler = self._judging.samplers[claim.ticket.evidence]
        async with self._models.pin(claim.ticket.id) as served:
            mission = mission_named(claim.ticket.mission)  # as the pinned model's inspections define it
            guidance = await self._choose_guidance(claim.ticket, mission, served.model, sampler)
            pinned = _judged_with(served.model, guidance.digest, sampler)
            if claim.ticket.pinned != pinned:
                await claim.pin_versions(pinned)
            with _tracer.start_as_current_span("stage-a"):
                await self._write_lines(claim, served.engine, mission)
            with _tracer.start_as_current_span("stage-b"):
                await self._judge(claim, served, mission, guidance, sampler)

    async def is_ready(self) -> bool:
        """Whether the engine can answer now."""
        return (await self._models.health()).ready

    async def _choose_guidance(
        self, ticket: Ticket, mission: Mission, model: ServedModel, sampler: Sampler
    ) -> Guidance:
        """The active version, or the version that an earlier attempt started with.

        The earlier one is kept only while model and sampler are the same as well: if either has changed, its rollouts are
        discarded anyway, and there is nothing left to be consistent with.
        """
        earlier = ticket.pinned
        if earlier is not None and earlier == _judged_with(model, earlier.guidance, sampler):
            try:
                return await asyncio.to_thread(self._guidance.version, mission, earlier.guidance)
            except InvalidValue:
                pass  # the version is no longer stored: the ticket starts again under the active one
        return await asyncio.to_thread(self._guidance.active_version, mission)

    async def _write_lines(self, claim: TicketClaim, engine: Engine, mission: Mission) -> None:
        ticket = claim.ticket
        if all(photo.summary is not None or photo.problem is not None for photo in ticket.photos):
            return
        started = perf_counter()
        photos = await gather_or_cancel(self._with_line(ticket, photo, engine, mission) for photo in ticket.photos)
        self._observer.record_stage("stage_a", perf_counter() - started)
        await claim.save_lines(photos)

    async def _with_line(self, ticket: Ticket, photo: TicketPhoto, engine: Engine, mission: Mission) -> TicketPhoto:
        """The photo with its line, or with the reason why it has none."""
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
        assert result.outcome.summary is not None  # otherwise ``line`` raises
        return replace(photo, summary=summary.render(result.outcome.summary, mission.words))

    async def _judge(
        self, claim: TicketClaim, served: PinnedModel, mission: Mission, guidance: Guidance, sampler: Sampler
    ) -> None:
        ticket = claim.ticket
        assert ticket.pinned is not None  # by ``pin_versions``
        records, started = list(ticket.rollouts), perf_counter()

        async def save_wave(wave: Wave) -> None:
            self._observer.record_wave(wave)
            records.extend(one.record for one in wave.rollouts)
            votes = {"通过": wave.passes, "不通过": wave.fails}
            await claim.save_rollouts(records, {"sampled": wave.sampled, "planned": wave.planned, "votes": votes})

        find = self._thresholds.find
        calibration = await asyncio.to_thread(find, guidance, model=ticket.pinned.model_digest, sampler=sampler.digest)
        judged = await JudgeTicket(served.engine)(
            TicketInput(
                group_id=ticket.ticket_id or ticket.id,
                mission=mission,
                summaries=tuple(photo.summary or "" for photo in ticket.photos),
                photos=await self._read_photos(ticket.photos) if ticket.evidence.shows_images else (),
            ),
            guidance=guidance,
            sampler=sampler,
            request_id=ticket.job_id,
            timeout_s=self._judging.timeout_s,
            calibration=calibration,
            release=self._judging.release,
            finished=[restore_rollout(sampler.waves, record, words=mission.words) for record in ticket.rollouts],
            on_wave=save_wave,
        )
        self._observer.record_samples(len(judged.rollouts), judged.planned)
        trained = mission.name not in served.model.untrained
        outcome = outcome_of(judged, calibration, ticket.photos, trained=trained)
        self._observer.record_stage("stage_b", perf_counter() - started)
        await claim.finish(outcome, self._clock())
        self._observer.record_verdict(ticket.mission, outcome)

    async def _read_photos(self, photos: Sequence[TicketPhoto]) -> tuple[EncodedPhoto, ...]:
        async def read(photo: TicketPhoto) -> EncodedPhoto:
            if photo.digest is None:
                raise InvalidValue(
                    "photos", photo.image_id, "must be submitted with its picture where images are evidence"
                )
            try:
                return await self._stage_a.photo(await self._blobs.get(photo.digest))
            except PhotoRejected as error:
                raise PhotoRejected(error.reason, error.value, error.valid, field=photo.image_id) from error

        return tuple(await gather_or_cancel(map(read, photos)))


def _judged_with(model: ServedModel, guidance: str, sampler: Sampler) -> JudgedWith:
    return JudgedWith(model_alias=model.alias, model_digest=model.digest, guidance=guidance, sampler=sampler.digest)
