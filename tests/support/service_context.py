"""The application on the scripted engine, called without a network."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx

from service.app.context import Context
from service.app.http import create_app
from service.app.metrics import Metrics
from service.guidance.proposal_store import ProposalStore
from service.guidance.services import GuidanceServices
from service.guidance.store import GuidanceStore
from service.judging.decision import ReleaseRule
from service.judging.release_state import ReleaseStates
from service.judging.sampler import EvidenceKind
from service.judging.thresholds import Thresholds
from service.learning.config import default_sampler
from service.models.exchange import Exchange
from service.models.observe import ModelObserver
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.models.services import ModelServices
from service.models.swap import ServedRole, SwapModels
from service.models.versions import FixedVersion
from service.photos.caption import CaptionPhoto
from service.photos.observe import PhotoObserver
from service.photos.reader import PhotoReader
from service.photos.services import DecodingDefaults, PhotoServices
from service.photos.stage_a import SummarisePhotos
from service.platform.admission import AdmissionControl
from service.platform.allowed_hosts import HostRule
from service.platform.audit_log import AuditLog
from service.platform.errors import UrlRejected
from service.platform.shares import Role
from service.tickets.blob_store import BlobStore
from service.tickets.deliveries import MemoryDeliveries
from service.tickets.manage import ManageTickets
from service.tickets.memory_store import MemoryQueue, MemoryTicketStore
from service.tickets.metrics import TicketMetrics
from service.tickets.pictures import TicketPictures
from service.tickets.review_queue import ReviewQueue
from service.tickets.services import TicketServices
from service.tickets.submit import SubmitTicket
from service.tickets.webhook import SignedWebhook
from service.web.audit_trail import AuditTrail
from service.web.auth import KeyRing
from service.web.key_limits import KeyLimits
from service.web.services import WebServices
from vqc.image import PhotoLimits


async def no_fetch(url: str) -> bytes:
    raise UrlRejected(url, "off in this test")


def swaps_of(models: ModelRouter) -> SwapModels:
    """The swaps of a model that is never replaced."""

    async def launch(checkpoint):
        raise AssertionError("nothing is launched")

    async def fits(checkpoint):
        return False

    served = [ServedRole(role=Role.MAIN, alias=models.model.alias, ref="")]
    exchange = Exchange(models, launch, drain_s=1)
    return SwapModels(models, served, FixedVersion(), exchange, ModelObserver(), fits=fits)


def context_with(
    engine,
    *,
    keys=None,
    limits=None,
    max_in_flight=64,
    fetch=no_fetch,
    max_body_bytes=2**20,
    timeout_s=120,
    models=None,
    swaps=None,
    webhook=None,
    catalogue=None,
    hosts=("*",),
    trusted_proxies=(),
    key_limits=None,
) -> Context:
    admission = AdmissionControl(max_in_flight)
    metrics = Metrics(admission)
    guidance_root = Path(tempfile.mkdtemp())
    models = models or ModelRouter.of(engine, ServedModel(alias="champion", digest="d" * 64), metrics.models)
    reader = PhotoReader(limits or PhotoLimits(), threads=2, observer=metrics.photos)
    return Context(
        web=WebServices(
            keys=KeyRing(keys),
            hosts=HostRule(hosts, keyed=keys is not None),
            admission=admission,
            max_body_bytes=max_body_bytes,
            audit=AuditTrail(AuditLog(guidance_root / "audit"), metrics.http.record_audit_failure),
            trusted_proxies=trusted_proxies,
            limits=key_limits or KeyLimits(),
        ),
        photos=PhotoServices(
            caption=CaptionPhoto(models, reader, PhotoObserver()),
            stage_a=SummarisePhotos(models, reader, PhotoObserver()),
            fetch=fetch,
            reader=reader,
            defaults=DecodingDefaults(timeout_s=timeout_s),
        ),
        models=ModelServices(router=models, swaps=swaps or swaps_of(models), catalogue=catalogue),
        guidance=GuidanceServices(versions=GuidanceStore(guidance_root), proposals=ProposalStore(guidance_root)),
        metrics=metrics,
        tickets=memory_ticket_services(
            reader, metrics, webhook or SignedWebhook((), None, lambda ticket: b""), calibrations=guidance_root
        ),
    )


def memory_ticket_services(
    reader: PhotoReader, metrics: Metrics, webhook, *, max_queued=1000, calibrations: Path = Path("/nonexistent")
) -> TicketServices:
    """Ticket services whose store, queue and photos are in memory; no worker takes the jobs."""
    store, queue, observed = MemoryTicketStore(), MemoryQueue(), TicketMetrics(metrics.registry)
    blobs = BlobStore(f"memory://{uuid4().hex}")
    submit = SubmitTicket(
        store=store,
        queue=queue,
        blobs=blobs,
        reader=reader,
        webhook=webhook,
        observer=observed,
        evidence=EvidenceKind.SUMMARIES,
        max_queued=max_queued,
    )
    manage = ManageTickets(store, queue, observed)
    return TicketServices(
        submit=submit,
        manage=manage,
        store=store,
        blobs=blobs,
        pictures=TicketPictures(blobs, reader),
        waiting=ReviewQueue(store),
        queue=queue,
        deliveries=MemoryDeliveries(),
        metrics=observed,
        max_queued=max_queued,
        releases=ReleaseStates(Thresholds(calibrations), default_sampler(), ReleaseRule.CALIBRATED),
    )


@asynccontextmanager
async def client_of(context: Context) -> AsyncGenerator[httpx.AsyncClient, None]:
    transport = httpx.ASGITransport(app=create_app(context), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://vqc.test") as client:
        yield client
