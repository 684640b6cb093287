"""Judges many tickets under one guidance, concurrently, with results in order; one bad ticket fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from engine.errors import EngineFailed, EngineRefused, EngineTimeout, EngineUnavailable
from service.guidance.guidance import Guidance
from service.judging.judge_ticket import JudgedTicket, JudgeTicket, TicketInput, Wave
from service.judging.rollouts import restore_rollout
from service.judging.sampler import Sampler
from service.learning.labelled_tickets import LabelledTicket
from service.learning.ports import Journal, LoadPhotos
from vqc.contract import digest
from vqc.errors import InvalidValue
from vqc.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketResult:
    """What came of one ticket: the judged ticket, or the ``error`` of one that the engine or its photos refuse."""

    record: LabelledTicket
    judged: JudgedTicket | None
    error: str | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The selected verdict, None where there is none."""
        return self.judged.selection.verdict if self.judged else None


class TicketPass:
    """``concurrency`` tickets at once. An engine that is away is waited for, up to ``patience_s`` for each ticket."""

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
        """Each ticket's outcome, in the order of ``tickets``.

        Raises:
            EngineUnavailable: the engine stayed away; the journal has what was answered.
        """
        places = asyncio.Semaphore(self._concurrency)

        async def outcome(record: LabelledTicket) -> TicketResult:
            async with places:
                return await self._outcome(record, guidance)

        tasks = [asyncio.create_task(outcome(record)) for record in tickets]
        try:
            for task in tasks:
                yield await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _outcome(self, record: LabelledTicket, guidance: Guidance) -> TicketResult:
        try:
            return TicketResult(record=record, judged=await self._patiently(record, guidance))
        except (EngineRefused, EngineTimeout, EngineFailed, InvalidValue) as error:
            return TicketResult(record=record, judged=None, error=str(error))

    async def _patiently(self, record: LabelledTicket, guidance: Guidance) -> JudgedTicket:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._patience_s
        while True:
            try:
                return await self._judged(record, guidance)
            except EngineUnavailable as error:
                if clock() + error.retry_after_s > deadline:
                    raise
                await asyncio.sleep(error.retry_after_s)

    async def _judged(self, record: LabelledTicket, guidance: Guidance) -> JudgedTicket:
        key = digest([guidance.digest, *record.key])[:32]
        photos = await self._load_photos(record) if self._sampler.evidence.shows_images else ()
        ticket = TicketInput(
            group_id=record.group_id,
            mission=record.mission,
            summaries=record.summaries,
            photos=photos,
            label=record.label,
        )

        async def keep(wave: Wave) -> None:
            self._journal.keep_rollouts(key, [one.record for one in wave.rollouts])

        return await self._judge(
            ticket,
            guidance=guidance,
            sampler=self._sampler,
            request_id=f"stage-b-{key}",
            timeout_s=self._timeout_s,
            finished=[restore_rollout(self._sampler.waves, one) for one in self._journal.rollouts(key)],
            on_wave=keep,
        )
