"""Whatever callers send, the number of series stays what it is: labels are closed."""

from __future__ import annotations

import random
import string
from dataclasses import replace

from engine.scripted import ScriptedEngine
from service.photos.caption import CaptionPhoto
from service.photos.stage_a import SummarisePhotos
from tests.support import photos
from tests.support.service_context import client_of, context_with
from tests.support.stage_b_bench import GOOD
from vqc.missions import missions

REQUESTS, MOST_SERIES = 10_000, 1_000
"""1,000 series a process: a hundred processes are a small Prometheus."""


def series(page: str) -> int:
    return sum(not line.startswith("#") for line in page.splitlines())


async def test_ten_thousand_mixed_requests_stay_below_a_thousand_series():
    chance = random.Random(7)
    context = context_with(ScriptedEngine(), max_in_flight=8)
    counted = replace(
        context,
        photos=replace(
            context.photos,
            caption=CaptionPhoto(context.models.router, context.photos.reader, context.metrics.photos),
            stage_a=SummarisePhotos(context.models.router, context.photos.reader, context.metrics.photos),
        ),
    )

    words = []

    def word() -> str:
        words.append("".join(chance.choices(string.ascii_letters, k=8)))
        return words[-1]

    small = photos.jpeg()
    async with client_of(counted) as client:

        async def request(n: int) -> None:
            match n % 10:
                case 0 if n % 100 == 0:
                    await client.post("/caption", files={"photo": ("a.jpg", small)})
                case 0 if n % 50 == 0:
                    body = {"mission": chance.choice([*missions()]), "photos": [{"summary": GOOD}], "ticket_id": word()}
                    await client.post("/stage-b/groups", json=body)
                case 0:
                    files = {"photos": ("a.jpg", small)}
                    await client.post("/stage-a", data={"mission": chance.choice([*missions()])}, files=files)
                case 1:
                    await client.request(word().upper(), f"/{word()}")
                case 2:
                    await client.get(f"/stage-b/groups/{word()}")
                case 3:
                    await client.post(f"/stage-b/groups/{word()}/review", json={"verdict": word(), "name": word()})
                case 4:
                    await client.post("/caption", content=word(), headers={"X-Request-Id": word()})
                case 5:
                    await client.get(f"/missions/{word()}/guidance")
                case 6:
                    await client.post(f"/models/{word()}/reload")
                case 7:
                    await client.get("/stage-b/groups", params={"state": word()})
                case 8:
                    await client.get("/healthz")
                case _:
                    await client.get(f"/{word()}/{word()}")

        for n in range(REQUESTS):
            await request(n)
        page = (await client.get("/metrics")).text
    assert series(page) < MOST_SERIES, series(page)
    assert [word for word in words if word in page] == []
