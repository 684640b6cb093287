"""Real processes killed at the worst moments: every accepted ticket gets exactly one final record."""

import asyncio
import os
import signal
import sys

import pytest
from redis.exceptions import RedisError

from service.tickets.ticket import State
from tests.support.dying_worker import POISON
from tests.support.redis_servers import SERVERS
from tests.support.stage_b_bench import ROOT, stage_b

KILLED = -signal.SIGKILL


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("moment", ["after_stage_a", "mid_wave", "before_save", "before_ack"])
async def test_a_worker_killed_between_two_steps(tmp_path, server, moment):
    async with stage_b(tmp_path, server) as bench:
        tickets = await bench.tickets(6, pictured=True)
        dying = await bench.worker(moment)
        assert await asyncio.wait_for(dying.wait(), 120) == KILLED
        saved = {ticket.id: ticket for ticket in await bench.records(tickets) if ticket.is_finished}
        await bench.worker()
        done = await bench.judged_once(tickets)
        assert all(photo.summary is not None for ticket in done for photo in ticket.photos)
        assert max(ticket.attempts for ticket in done) <= 2
        assert [ticket for ticket in done if ticket.id in saved] == [*saved.values()]
        assert bool(saved) is (moment == "before_ack")  # what was saved is acknowledged, and not done again
        await bench.emptied()


async def test_one_of_two_workers_is_killed(tmp_path):
    async with stage_b(tmp_path) as bench:
        tickets = await bench.tickets(60)
        victim, _ = await bench.worker("slow"), await bench.worker("slow")
        async with asyncio.timeout(120):
            while not (await bench.parts.store.counts())[State.RUNNING] > 20:
                await asyncio.sleep(0.02)
        victim.kill()
        done = await bench.judged_once(tickets)
        assert {ticket.attempts for ticket in done} == {1, 2}
        await bench.emptied()


async def test_a_worker_that_is_told_to_leave_hands_its_tickets_over(tmp_path):
    async with stage_b(tmp_path, lease_s=300) as bench:  # nothing would come back by its lease
        tickets = await bench.tickets(40)
        leaving = await bench.worker("slow")
        async with asyncio.timeout(120):
            while not (await bench.parts.store.counts())[State.RUNNING]:
                await asyncio.sleep(0.02)
        leaving.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(leaving.wait(), 120) == 0
        assert (await bench.parts.store.counts())[State.RUNNING] == 0
        await bench.worker()
        done = await bench.judged_once(tickets)
        assert {ticket.attempts for ticket in done} == {1}
        await bench.emptied()


@pytest.mark.parametrize("server", SERVERS)
async def test_redis_is_killed_and_comes_back_from_its_file(tmp_path, server):
    async with stage_b(tmp_path, server) as bench:
        tickets = await bench.tickets(40)
        await bench.worker("slow")
        async with asyncio.timeout(120):
            while not (await bench.parts.store.counts())[State.RUNNING]:
                await asyncio.sleep(0.02)
        pid = (await bench.parts.redis.info("server"))["process_id"]
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(120):
            while True:
                try:
                    if (await bench.parts.redis.info("server"))["process_id"] != pid:
                        break
                except RedisError:
                    pass
                await asyncio.sleep(0.05)
        done = await bench.judged_once(tickets)
        assert {ticket.attempts for ticket in done} == {1}  # the worker lived through it
        await bench.emptied()


async def test_an_engine_that_is_away_costs_no_ticket_and_no_attempt(tmp_path):
    async with stage_b(tmp_path) as bench:
        tickets = await bench.tickets(20)
        socket = tmp_path / "engine.sock"
        elsewhere = {"VQC_ENGINE": "external", "VQC_ENGINE_URL": f"unix://{socket}"}
        await bench.worker(None, **elsewhere)
        await bench.worker(None, **elsewhere)
        async with asyncio.timeout(120):
            while (await bench.parts.store.counts())[State.RUNNING] != 20:
                await asyncio.sleep(0.05)
        await asyncio.sleep(6)  # four leases: a ticket without a heartbeat is redelivered after one
        engine = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "tests" / "support" / "fake_vllm.py"), "--uds", str(socket)), cwd=ROOT
        )
        bench.processes.append(engine)
        done = await bench.judged_once(tickets)
        assert {ticket.attempts for ticket in done} == {1}
        await bench.emptied()


async def test_a_poison_ticket_becomes_a_dead_letter_and_the_others_do_not_wait(tmp_path):
    async with stage_b(tmp_path) as bench:
        poison = (await bench.tickets(1, summary=f"{POISON}×1"))[0]
        others = await bench.tickets(20)
        await bench.worker("poison")
        (dead, *_) = await bench.judged_once([poison], (State.FAILED,))
        assert (dead.attempts, dead.failure.kind) == (3, "EngineFailed")
        for ticket in await bench.judged_once(others):
            assert ticket.finished_at < dead.finished_at
        await bench.emptied()


async def test_a_ticket_that_kills_every_worker_becomes_a_dead_letter(tmp_path):
    async with stage_b(tmp_path, lease_s=0.5) as bench:
        (poison,) = await bench.tickets(1)
        for _ in range(3):
            dying = await bench.worker("first_wave")
            assert await asyncio.wait_for(dying.wait(), 120) == KILLED
        await bench.worker()
        (dead,) = await bench.judged_once([poison], (State.FAILED,))
        assert (dead.failure.kind, dead.outcome) == ("attempts-used-up", None)
        await bench.emptied()


async def test_a_job_that_the_queue_lost_is_found_by_its_record(tmp_path):
    async with stage_b(tmp_path, lease_s=0.5) as bench:
        tickets = await bench.tickets(5)
        await bench.parts.redis.delete(*[key async for key in bench.parts.redis.scan_iter("vqc-stage-b:*")])
        await bench.worker()
        await bench.judged_once(tickets)
