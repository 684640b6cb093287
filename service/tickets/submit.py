"""Accepts a ticket: photos and record are stored, and the job is queued, before the caller gets an answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from service.judging.sampler import EvidenceKind
from service.photos.reader import PhotoReader, PhotoSource
from service.platform.errors import QueueFull
from service.platform.gather import gather_or_cancel
from service.tickets.blob_store import BlobStore
from service.tickets.ports import JobQueue, TicketObserver
from service.tickets.store import Event, Idempotency, TicketStore
from service.tickets.ticket import MAX_SHOWN_PHOTOS, MAX_TICKET_PHOTOS, State, Ticket, TicketPhoto, id_at
from service.tickets.webhook import SignedWebhook
from vqc import summary
from vqc.contract import digest
from vqc.errors import InvalidValue, PhotoRejected
from vqc.missions import Mission


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedPhoto:
    """One photo of a submitted ticket: its picture, its Stage-A line, or both."""

    name: str | None = None
    source: PhotoSource | None = None
    summary: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A submitted ticket. ``caller`` is the id of the API key; an idempotency key is valid for that caller only."""

    mission: Mission
    photos: Sequence[SubmittedPhoto]
    evidence: EvidenceKind | None = None
    ticket_id: str | None = None
    webhook: str | None = None
    caller: str | None = None
    idempotency_key: str | None = None


class SubmitTicket:
    """Accepts tickets."""

    def __init__(
        self,
        *,
        store: TicketStore,
        queue: JobQueue,
        blobs: BlobStore,
        reader: PhotoReader,
        webhook: SignedWebhook,
        observer: TicketObserver,
        evidence: EvidenceKind,
        max_queued: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._queue = queue
        self._blobs = blobs
        self._reader = reader
        self._webhook = webhook
        self._observer = observer
        self._evidence = evidence
        self._max_queued = max_queued
        self._clock = clock

    async def __call__(self, submission: Submission) -> Ticket:
        """The accepted ticket, or the one that the same key was used for before.

        Raises:
            InvalidValue: photos, lines, webhook or evidence are not valid.
            FetchFailed: a photo could not be fetched from its URL.
            IdempotencyConflict: the key was used for another ticket.
            QueueFull: the queue has reached its limit.
            QueueUnavailable: the ticket could not be stored.
        """
        evidence = self._choose_evidence(submission)
        if (await self._store.counts())[State.QUEUED] >= self._max_queued:
            raise QueueFull(self._max_queued)
        photos = tuple(
            await gather_or_cancel(self._store_photo(n, photo) for n, photo in enumerate(submission.photos, start=1))
        )
        now = self._clock()
        ticket = Ticket(
            id=id_at(now, secrets.token_hex(10)),
            mission=submission.mission.name,
            evidence=evidence,
            photos=photos,
            accepted_at=now,
            ticket_id=submission.ticket_id,
            webhook=submission.webhook,
            submitted_by=submission.caller,
        )
        event = Event(name="accepted", data={"state": State.QUEUED, "photos": len(photos), "at": now.isoformat()})
        accepted = await self._store.create(ticket, event, _idempotency(submission, ticket))
        if accepted.id == ticket.id:
            self._observer.record_accepted()
        # Also for a ticket of an earlier call: that call may have saved the record and then failed to queue the job.
        if not accepted.is_finished:
            await self._queue.judge(accepted.job_id)
        return accepted

    def _choose_evidence(self, submission: Submission) -> EvidenceKind:
        """The evidence that the ticket is judged on. Raises ``InvalidValue`` for a ticket that cannot be judged."""
        photos, words = submission.photos, submission.mission.words
        if not 1 <= len(photos) <= MAX_TICKET_PHOTOS:
            raise InvalidValue("photos", len(photos), f"a ticket has 1 to {MAX_TICKET_PHOTOS} photos")
        for n, photo in enumerate(photos):
            if photo.source is None and photo.summary is None:
                raise InvalidValue(f"photos.{n}", None, "must be a photo, a summary, or both")
            if photo.summary is not None and summary.parse(photo.summary, words).summary is None:
                raise InvalidValue(f"photos.{n}.summary", photo.summary, "must be a Stage-A line")
        if submission.webhook is not None:
            self._webhook.check(submission.webhook)
        pictured = all(photo.source is not None for photo in photos)
        showable = pictured and len(photos) <= MAX_SHOWN_PHOTOS
        if submission.evidence is None:
            return self._evidence if showable else EvidenceKind.SUMMARIES
        if submission.evidence.shows_images and not showable:
            valid = f"needs the picture of every photo, and at most {MAX_SHOWN_PHOTOS} photos"
            raise InvalidValue("evidence", submission.evidence.value, valid)
        return submission.evidence

    async def _store_photo(self, n: int, submitted: SubmittedPhoto) -> TicketPhoto:
        photo = TicketPhoto(
            image_id=f"image_{n}",
            name=submitted.name,
            summary=submitted.summary,
            given=submitted.summary is not None,
        )
        if submitted.source is None:
            return photo
        try:
            original = await self._reader.check(await submitted.source())  # the worker computes the pixels
        except PhotoRejected as error:
            raise PhotoRejected(error.reason, error.value, error.valid, field=f"photos.{n - 1}") from error
        await self._blobs.put(original.digest, original.data)
        return replace(photo, digest=original.digest, media_type=original.media_type)


def _idempotency(submission: Submission, ticket: Ticket) -> Idempotency | None:
    if submission.idempotency_key is None:
        return None
    content = {
        "mission": ticket.mission,
        "evidence": submission.evidence,
        "ticket_id": ticket.ticket_id,
        "webhook": ticket.webhook,
        "photos": [[photo.name, photo.digest, photo.summary] for photo in ticket.photos],
    }
    return Idempotency(key=f"{submission.caller or ''}:{submission.idempotency_key}", digest=digest(content))
