"""A worker's use cases on memory, a scripted engine and a clock that does not matter."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from PIL import Image as Pillow

from engine.protocol import DecodingParams
from engine.scripted import ScriptedEngine
from service.guidance.store import GuidanceStore
from service.judging.decision import ReleaseRule
from service.judging.rollouts import plan
from service.judging.sampler import EvidenceKind, Sampler
from service.judging.thresholds import Thresholds
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.photos.observe import PhotoObserver
from service.photos.reader import PhotoReader
from service.photos.stage_a import SummarisePhotos
from service.tickets.blob_store import BlobStore
from service.tickets.heartbeat_watch import HeartbeatWatch
from service.tickets.memory_store import MemoryQueue, MemoryTicketStore
from service.tickets.ports import TicketObserver
from service.tickets.process import ProcessTicket, Redeliver, RetryPolicy
from service.tickets.store import Event
from service.tickets.ticket import Ticket, TicketPhoto, id_at
from service.tickets.work import JudgingConfig, WorkOnTicket
from vqc.grammar import VERDICT_GRAMMAR
from vqc.image import PhotoLimits

MISSION = "挡风板安装检查"
GOOD = "BBU设备/华为,显示完整,机柜空间充足需要安装×1，挡风板/华为,显示完整,安装方向正确×1"
PASS = "通过\n理由: 挡风板安装方向正确"
FAIL = "不通过\n理由: 挡风板缺失"
WAVES = plan([DecodingParams(max_new_tokens=64, temperature=t) for t in (0.2, 0.6, 0.9)], 4, 17)


def verdicts(answer: str = PASS):
    """A script that gives ``answer`` for every verdict and ``GOOD`` for every photo."""
    return lambda request, index: answer if request.grammar == VERDICT_GRAMMAR else GOOD


class Watcher(TicketObserver):
    """Remembers the ends of attempts and the final states."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.finals: list[tuple[str, str | None]] = []

    def record_attempt(self, end, seconds) -> None:
        self.ends.append(end)

    def record_finished(self, state, verdict, seconds) -> None:
        self.finals.append((state, verdict))


@dataclass
class Bench:
    """One worker without a queue in front: ``deliver`` is what the queue would do."""

    root: Path
    engine: ScriptedEngine = field(default_factory=lambda: ScriptedEngine(verdicts()))
    adaptive: float | None = 0.95
    retry_policy: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(
            heartbeat_interval_s=0.01, heartbeat_timeout_s=0, engine_poll_s=0.01, backoff_s=1
        )
    )
    model: str = "m" * 64
    release: ReleaseRule = ReleaseRule.RULES

    def __post_init__(self) -> None:
        self.store = MemoryTicketStore()
        self.queue = MemoryQueue()
        self.blobs = BlobStore(f"memory://{uuid4().hex}")
        self.guidance = GuidanceStore(self.root)
        self.watcher = Watcher()
        self.stopping = asyncio.Event()

    def process(
        self, *, engine: ScriptedEngine | None = None, model: str | None = None, untrained: Iterable[str] = ()
    ) -> ProcessTicket:
        served = ServedModel(alias="champion", digest=model or self.model, untrained=frozenset(untrained))
        models = ModelRouter.of(engine or self.engine, served)
        reader = PhotoReader(PhotoLimits(), threads=1)
        samplers = {kind: Sampler(waves=WAVES, evidence=kind, adaptive=self.adaptive) for kind in EvidenceKind}
        work = WorkOnTicket(
            models=models,
            stage_a=SummarisePhotos(models, reader, PhotoObserver()),
            blobs=self.blobs,
            guidance=self.guidance,
            thresholds=Thresholds(self.root),
            judging=JudgingConfig(
                samplers=samplers,
                stage_a=DecodingParams(max_new_tokens=128),
                timeout_s=120,
                release=self.release,
            ),
            observer=self.watcher,
        )
        return ProcessTicket(
            store=self.store,
            queue=self.queue,
            work=work,
            retry_policy=self.retry_policy,
            observer=self.watcher,
            watch=HeartbeatWatch(),
        )

    async def accept(self, *photos: TicketPhoto, **fields) -> Ticket:
        moment = datetime.now(UTC)
        new = Ticket(
            id=id_at(moment, uuid4().hex[:20]),
            photos=photos or (TicketPhoto(image_id="image_1", summary=GOOD, given=True),),
            accepted_at=moment,
            **{"mission": MISSION, "evidence": EvidenceKind.SUMMARIES, **fields},
        )
        return await self.store.create(new, Event(name="accepted"), None)

    async def photo(self, n: int = 1) -> TicketPhoto:
        """A photo without a line, in the blob store."""
        data = io.BytesIO()
        Pillow.new("RGB", (320, 256), (n, n, n)).save(data, "PNG")
        digest = sha256(data.getvalue()).hexdigest()
        await self.blobs.put(digest, data.getvalue())
        return TicketPhoto(image_id=f"image_{n}", digest=digest, media_type="image/png")

    async def deliver(self, ticket: Ticket, process: ProcessTicket | None = None) -> Redeliver | None:
        return await (process or self.process())(ticket.job_id, self.stopping)

    async def names(self, ticket: Ticket) -> list[str]:
        return [event.name for event in await self.store.events(ticket.id, None)]
