"""Judges many tickets under one guidance, concurrently, with results in order; an error of one ticket affects no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from engine.errors import EngineFailed, EngineRefused, EngineTimeout, EngineUnavailable
from service.guidance.guidance import Guidance
from service.judging.decision import ReleaseRule
from service.judging.judge_ticket import JudgedTicket, JudgeTicket, TicketInput, Wave
from service.judging.rollouts import restore_rollout
from service.judging.sampler import Sampler
from service.learning.journal import Journal
from service.learning.labelled_tickets import LabelledTicket
from vqc.contract import digest
from vqc.errors import InvalidValue
from vqc.image import EncodedPhoto
from vqc.verdict import Verdict

LoadPhotos = Callable[[LabelledTicket], Awaitable[tuple[EncodedPhoto, ...]]]
"""Loads a ticket's photos in canonical form. Raises ``InvalidValue`` for one that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketResult:
    """The judged ticket, or the ``error`` of a ticket that the engine rejected or whose photos cannot be used."""

    ticket: LabelledTicket
    judged: JudgedTicket | None
    error: str | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The selected verdict, if any."""
        return self.judged.selection.verdict if self.judged else None


class TicketPass:
    """Judges ``concurrency`` tickets at once, and waits up to ``patience_s`` per ticket for an unavailable engine."""

    def __init__(
        self,
        judge: JudgeTicket,
        sampler: Sampler,
        *,
        journal: Journal,
        load_photos: LoadPhotos,
        concurrency: int,
        timeout_s: float,
        patience_s: float = 120.0,
    ) -> None:
        self._judge = judge
        self._sampler = sampler
        self._journal = journal
        self._load_photos = load_photos
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self._patience_s = patience_s

    async def __call__(
        self, tickets: Sequence[LabelledTicket], guidance: Guidance
    ) -> AsyncGenerator[TicketResult, None]:
        """Yields the result of each ticket, in the order of ``tickets``.

        Raises:
            EngineUnavailable: the engine stayed unavailable; the journal holds all answers so far.
        """
        slots = asyncio.Semaphore(self._concurrency)

        async def judge_in_slot(ticket: LabelledTicket) -> TicketResult:
            async with slots:
                return await self._result(ticket, guidance)

        tasks = [asyncio.create_task(judge_in_slot(ticket)) for ticket in tickets]
        # In input order, although tickets finish in any order: records are written as results are yielded, and a resumed run
        # must write the same bytes.
        try:
            for task in tasks:
                yield await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _result(self, ticket: LabelledTicket, guidance: Guidance) -> TicketResult:
        try:
            return TicketResult(ticket=ticket, judged=await self._judge_with_retries(ticket, guidance))
        except (EngineRefused, EngineTimeout, EngineFailed, InvalidValue) as error:
            return TicketResult(ticket=ticket, judged=None, error=str(error))

    async def _judge_with_retries(self, ticket: LabelledTicket, guidance: Guidance) -> JudgedTicket:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._patience_s
        while True:
            try:
                return await self._judge_once(ticket, guidance)
            except EngineUnavailable as error:
                if clock() + error.retry_after_s > deadline:
                    raise
                await asyncio.sleep(error.retry_after_s)

    async def _judge_once(self, ticket: LabelledTicket, guidance: Guidance) -> JudgedTicket:
        # Without the epoch: seeds are the same in every epoch, so under unchanged guidance a ticket has the same answers.
        key = digest([guidance.digest, *ticket.key])[:32]
        photos = await self._load_photos(ticket) if self._sampler.evidence.shows_images else ()

        words = ticket.mission.words

        async def save_wave(wave: Wave) -> None:
            self._journal.save_rollouts(key, [one.record for one in wave.rollouts])

        return await self._judge(
            TicketInput(
                group_id=ticket.group_id,
                mission=ticket.mission,
                summaries=ticket.summaries,
                photos=photos,
                label=ticket.label,
            ),
            guidance=guidance,
            sampler=self._sampler,
            request_id=f"stage-b-{key}",
            timeout_s=self._timeout_s,
            release=ReleaseRule.RULES,  # a run measures what a calibration could release; it releases nothing
            finished=[restore_rollout(self._sampler.waves, one, words=words) for one in self._journal.rollouts(key)],
            on_wave=save_wave,
        )
