"""The ticket services on one real Redis that a test may spoil, without a worker process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from service.photos.reader import PhotoReader
from service.platform.redis_client import connect
from service.platform.redis_server import embedded_redis
from service.platform.settings import Settings
from service.tickets.services import TicketServices
from service.tickets.submit import Submission, SubmittedPhoto
from service.tickets.ticket import Ticket
from service.tickets.wiring import TicketParts, ticket_parts, ticket_services_of
from tests.support.redis_servers import binary_of
from tests.support.stage_b_bench import GOOD, MISSION


@dataclass
class SpoiltRedis:
    """The services, and ``admin``: a connection that the service does not use."""

    url: str
    parts: TicketParts
    services: TicketServices
    admin: Redis

    async def tickets(self, count: int, *, webhook: str | None = None) -> list[Ticket]:
        one = Submission(mission=MISSION, photos=[SubmittedPhoto(summary=GOOD)], webhook=webhook)
        return [await self.services.submit(one) for _ in range(count)]


@asynccontextmanager
async def spoilt_redis(tmp_path: Path, server: str = "valkey", **settings) -> AsyncGenerator[SpoiltRedis, None]:
    """Services on a server of their own."""
    from service.app.metrics import Metrics
    from service.platform.admission import AdmissionControl
    from vqc.image import PhotoLimits

    async with embedded_redis(tmp_path / "redis", binary_of(server)) as url, connect(url) as admin:
        given = {
            "redis_url": url,
            "state_dir": tmp_path / "state",
            "engine": "scripted",
            "webhook_hosts": ("receiver.test",),
            "webhook_secret": "a secret of these tests alone",
            **settings,
        }
        reader = PhotoReader(PhotoLimits(), 1, Metrics(AdmissionControl(1)).photos)
        async with ticket_parts(Settings(**given), CollectorRegistry()) as parts:
            yield SpoiltRedis(url, parts, ticket_services_of(parts, reader), admin)
        reader.close()
