"""Whatever a real Redis answers instead of doing what it was asked: not ready with the reason, 503, no attempt is spent."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from service.console.redis_sessions import RedisSessions
from service.console.session_store import SessionRecord
from service.platform.errors import QueueUnavailable
from service.platform.redis_answers import ANSWERS
from service.tickets.claim import claim_ticket
from service.tickets.ticket import State
from service.web.problems import problem_response
from tests.support.redis_faults import FAULTS, paused
from tests.support.redis_servers import SERVERS
from tests.support.stage_b_redis import spoilt_redis
from tests.support.ticket_store_suite import ACCEPTED

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SERVERS)
async def bench(request, tmp_path_factory):
    """One server for all answers: each test leaves it as it was."""
    async with spoilt_redis(tmp_path_factory.mktemp(request.param), request.param) as opened:
        yield opened


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_refusing_server_is_not_ready_accepts_nothing_and_costs_no_attempt(bench, fault):
    (ticket,) = await bench.tickets(1)
    store, answer = bench.parts.store, ANSWERS[fault.partition(" ")[0]]
    claim = await claim_ticket(store, ticket.id, "1", max_attempts=3, clock=now, store_poll_s=0.005)
    async with FAULTS[fault](bench.url, bench.admin):
        (problem,) = await bench.services.find_problems()
        assert answer.meaning in problem
        with pytest.raises(QueueUnavailable) as refused:
            await bench.tickets(1)
        response = problem_response(refused.value)
        assert (response.status_code, response.headers["Retry-After"]) == (503, f"{answer.retry_after_s:.0f}")
        await bench.services.update_metrics()
        assert await claim.is_active()  # the lease cannot be renewed here, and no other worker can take it
        released = asyncio.ensure_future(claim.release())
        await asyncio.sleep(0.02)
    await asyncio.wait_for(released, 60)
    record = await store.get(ticket.id)
    assert (record.attempts, record.state) == (0, State.QUEUED)
    assert await bench.services.find_problems() == []


async def test_a_server_that_answers_no_write_is_not_ready_in_time(bench, monkeypatch):
    monkeypatch.setattr("service.tickets.services._QUEUE_TIMEOUT_S", 0.05)
    monkeypatch.setattr("service.tickets.queue._TIMEOUT_S", 0.05)
    async with paused(bench.url, bench.admin):
        assert await bench.services.find_problems() == ["the queue does not answer within 0.05 s"]
        with pytest.raises(QueueUnavailable, match="does not answer in time"):
            await bench.parts.queue.judge("1.1")


async def test_a_signed_in_person_can_look_while_redis_accepts_no_write(bench):
    sessions, hour = RedisSessions(bench.admin), timedelta(hours=1)
    record = SessionRecord(key_id="1a2b3c4d", digest="d" * 64)
    await sessions.save("id", record, hour)
    async with FAULTS["NOREPLICAS"](bench.url, bench.admin):
        assert await sessions.get("id", renew=hour) == record


async def test_a_connection_that_is_cut_is_made_again(bench):
    await bench.tickets(1)
    await bench.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await bench.tickets(1)
    assert await bench.services.find_problems() == []


async def test_a_call_whose_answer_was_lost_is_repeated_without_a_second_effect(bench):
    (ticket,) = await bench.tickets(1)
    assert await bench.parts.store.create(ticket, ACCEPTED, None) == ticket
    before = await bench.parts.queue.depth()
    await bench.parts.queue.judge(ticket.job_id)
    assert await bench.parts.queue.depth() == before
    assert len(await bench.parts.store.events(ticket.id, None)) == 1


async def test_a_full_queue_is_not_ready(bench):
    await bench.tickets(1)
    (problem,) = await replace(bench.services, max_queued=1).find_problems()
    assert "1 tickets are waiting, which is the limit" in problem


async def test_a_photo_store_that_cannot_be_written_is_not_ready(bench, tmp_path):
    (tmp_path / "file").touch()
    from service.tickets.blob_store import BlobStore

    (problem,) = await replace(bench.services, blobs=BlobStore(str(tmp_path / "file" / "blobs"))).find_problems()
    assert "the photo store" in problem


def now() -> datetime:
    return datetime.now(UTC)
