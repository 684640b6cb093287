"""Two inspections in one service: each is asked, answered and judged in its own words."""

from __future__ import annotations

import pytest

from engine.scripted import ScriptedEngine
from tests.support import photos
from tests.support.inspections import inspections
from tests.support.service_context import client_of, context_with
from tests.unit.service.tickets.builders import Bench
from vqc import summary, verdict
from vqc.missions import mission_named
from vqc.parser import Status


@pytest.fixture(autouse=True)
def _both():
    with inspections("telecom", "meters"):
        yield


async def test_lines_are_in_the_words_of_their_inspection():
    engine = ScriptedEngine()
    async with client_of(context_with(engine)) as client:
        for name in ("挡风板安装检查", "Sealing"):
            files = [("photos", (f"{n}.jpg", photos.jpeg((100 + n, 80)))) for n in range(8)]
            answer = (await client.post("/stage-a", data={"mission": name}, files=files)).json()
            words = mission_named(name).words
            assert all(summary.parse(one["summary"], words).status is Status.PARSED for one in answer["photos"])
        listed = {one["name"]: one["inspection"] for one in (await client.get("/missions")).json()}
    assert len({request.grammar for request in engine.requests}) == 2
    assert len(listed) == 10
    assert listed["Sealing"] == "meters"


async def test_a_ticket_is_judged_in_the_words_of_its_inspection(tmp_path):
    words = mission_named("Sealing").words
    bench = Bench(tmp_path, engine=ScriptedEngine())
    ticket = await bench.accept(await bench.photo(1), mission="Sealing")
    await bench.deliver(ticket)
    done = await bench.store.get(ticket.id)
    assert summary.parse(done.photos[0].summary, words).status is Status.PARSED
    texts = [one["text"] for one in done.rollouts]
    assert texts
    assert all(verdict.parse(text, words).answer is not None for text in texts)
    assert done.outcome.verdict is not None
