"""Work in flight is counted, and a drain waits for it, up to its limit."""

from __future__ import annotations

import asyncio

from engine.in_flight import InFlight


async def test_a_drain_ends_when_the_last_piece_of_work_does() -> None:
    work = InFlight()
    work.acquire()
    work.acquire()
    drain = asyncio.create_task(work.drain(limit_s=30))
    work.release()
    await asyncio.sleep(0)
    assert (work.count, drain.done()) == (1, False)
    work.release()
    assert await drain == 0


async def test_a_drain_that_reaches_its_limit_returns_what_is_left() -> None:
    work = InFlight()
    work.acquire()
    assert await work.drain(limit_s=0.01) == 1


async def test_work_that_begins_again_is_waited_for_again() -> None:
    work = InFlight()
    assert await work.drain(limit_s=30) == 0
    work.acquire()
    assert await work.drain(limit_s=0) == 1
