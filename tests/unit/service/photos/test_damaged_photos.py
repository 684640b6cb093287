"""Damaged photos over HTTP: each is an answer or a 4xx of its own, for captions, lines and tickets alike."""

from __future__ import annotations

from itertools import islice

from engine.scripted import ScriptedEngine
from loadtest.photo_mutations import mutations, whole_photos
from tests.support import photos
from tests.support.service_context import client_of, context_with
from vqc.missions import missions

MISSION = next(iter(missions()))
GOOD = photos.jpeg()


async def test_a_damaged_photo_costs_no_other_photo_anything_and_no_one_a_500():
    seen = set()
    async with client_of(context_with(ScriptedEngine())) as client:
        for name, data in islice(mutations(whole_photos(), seed=4), 120):
            caption = await client.post("/caption", files={"photo": ("a", data)})
            files = [("photos", ("good", GOOD)), ("photos", ("damaged", data))]
            lines = await client.post("/stage-a", files=files, data={"mission": MISSION})
            ticket = await client.post("/stage-b/groups", files=files, data={"mission": MISSION})
            assert lines.status_code == 200, (name, lines.text)
            good, damaged = lines.json()["photos"]
            assert good["summary"]
            read = caption.status_code == 200
            assert read or caption.status_code in (413, 415, 422), (name, caption.text)
            assert ("summary" in damaged) == read, (name, damaged)
            assert damaged.get("problem", {}).get("type") == caption.json().get("type"), name
            assert ticket.status_code == 202 or (not read and ticket.json()["field"] == "photos.1"), (name, ticket.text)
            seen.add(read)
    assert seen == {True, False}
