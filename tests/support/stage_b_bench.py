"""A real Redis, real worker processes and tickets to give them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service.app.metrics import Metrics
from service.photos.reader import PhotoReader
from service.platform.admission import AdmissionControl
from service.platform.redis_server import embedded_redis
from service.platform.settings import Settings
from service.tickets.submit import Submission, SubmittedPhoto, SubmitTicket
from service.tickets.ticket import ACTIVE, State, Ticket
from service.tickets.wiring import TicketParts, ticket_parts, ticket_services_of
from tests.support import photos
from tests.support.redis_servers import binary_of
from vqc.image import PhotoLimits
from vqc.missions import mission_named

MISSION = mission_named("挡风板安装检查")
GOOD = "BBU设备/华为,显示完整,机柜空间充足需要安装×1，挡风板/华为,显示完整,安装方向正确×1"
ROOT = Path(__file__).parents[2]


@dataclass
class StageB:
    """Everything around the workers. Environment variables go to each process that is started."""

    parts: TicketParts
    submit: SubmitTicket
    environment: dict[str, str]
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def tickets(self, count: int, *, summary: str = GOOD, pictured: bool = False, **fields) -> list[Ticket]:
        """Accepted tickets: of one line, or of one photo without a line."""

        async def data(n: int) -> bytes:
            return photos.jpeg((100 + n % 50, 80))

        def photo(n: int) -> SubmittedPhoto:
            return SubmittedPhoto(source=lambda: data(n)) if pictured else SubmittedPhoto(summary=summary)

        submissions = [Submission(mission=MISSION, photos=[photo(n)], **fields) for n in range(count)]
        return [await self.submit(one) for one in submissions]

    async def worker(self, moment: str | None = None, **environment: str) -> asyncio.subprocess.Process:
        """A worker process: the product's own command, or one that dies at a moment."""
        module = ["tests.support.dying_worker", moment] if moment else ["service.cli", "worker"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *module), cwd=ROOT, env=self.environment | environment
        )
        self.processes.append(process)
        return process

    async def finished(self, tickets: list[Ticket], timeout_s: float = 120) -> list[Ticket]:
        """The records once all of them are final; fails with what is left otherwise."""
        try:
            async with asyncio.timeout(timeout_s):
                while any(n for state, n in (await self.parts.store.counts()).items() if state in ACTIVE):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not final after {timeout_s} s: {await self.parts.store.counts()}") from None
        return await self.records(tickets)

    async def records(self, tickets: list[Ticket]) -> list[Ticket]:
        """The records as they are now."""
        return [await self.parts.store.get(ticket.id) for ticket in tickets]

    async def judged_once(self, tickets: list[Ticket], states: tuple[State, ...] = (State.DECIDED, State.NEEDS_REVIEW)):
        """The records, each of which has exactly one final record, in one of ``states``."""
        done = await self.finished(tickets)
        for ticket in done:
            events = [event.name for event in await self.parts.store.events(ticket.id, None)]
            assert events.count("finished") == 1, (ticket.id, events)
            assert ticket.state in states, (ticket.state, ticket.failure)
        return done

    async def emptied(self) -> None:
        """Returns when the queue holds nothing any more, as the last acknowledgement leaves it."""
        async with asyncio.timeout(120):
            while True:
                depth = await self.parts.queue.depth()
                if (depth.lag, depth.pending, depth.delayed) == (0, 0, 0):
                    return
                await asyncio.sleep(0.05)


@asynccontextmanager
async def stage_b(tmp_path: Path, server: str = "valkey", *, lease_s: float = 1.5) -> AsyncGenerator[StageB, None]:
    """The bench; every process it started is ended with it."""
    async with embedded_redis(tmp_path / "redis", binary_of(server)) as url:
        own = {name: value for name, value in os.environ.items() if not name.startswith("VQC_")}
        environment = own | {
            "VQC_ENGINE": "scripted",
            "VQC_REDIS_URL": url,
            "VQC_STATE_DIR": str(tmp_path / "state"),
            "VQC_STAGE_B_LEASE_S": str(lease_s),
            "VQC_LOG_LEVEL": "warning",
        }
        settings = Settings(redis_url=url, state_dir=tmp_path / "state", engine="scripted", stage_b_lease_s=lease_s)
        metrics = Metrics(AdmissionControl(1))
        async with ticket_parts(settings, metrics.registry) as parts:
            reader = PhotoReader(PhotoLimits(), 1, metrics.photos)
            bench = StageB(parts, ticket_services_of(parts, reader).submit, environment)
            try:
                yield bench
            finally:
                for process in bench.processes:
                    if process.returncode is None:
                        process.send_signal(signal.SIGKILL)
                    await process.wait()
                reader.close()
