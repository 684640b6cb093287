"""What the routes work with, put together by the bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from service.guidance.edit import GuidanceBook
from service.guidance.proposals import ProposalBook
from service.models.catalogue import ModelCatalogue
from service.models.router import ModelRouter
from service.models.swap import SwapModels
from service.photos.caption import CaptionPhoto
from service.photos.metrics import Metrics
from service.photos.reader import FetchPhoto, PhotoReader
from service.photos.stage_a import SummarisePhotos
from service.platform.admission import Intake
from service.platform.allowed_hosts import HostRule
from service.platform.errors import QueueUnavailable
from service.tickets.desk import GroupDesk
from service.web.auth import KeyRing


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds where a request says nothing; ``timeout_s`` is also the longest that a request may ask for."""

    caption_max_new_tokens: int = 2048
    stage_a_max_new_tokens: int = 256
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The use cases and what surrounds them."""

    models: ModelRouter
    swaps: SwapModels
    caption: CaptionPhoto
    stage_a: SummarisePhotos
    fetch: FetchPhoto
    keys: KeyRing
    hosts: HostRule
    intake: Intake
    metrics: Metrics
    defaults: Defaults
    max_body_bytes: int
    reader: PhotoReader
    guidance: GuidanceBook
    proposals: ProposalBook
    catalogue: ModelCatalogue | None = None
    """None where the service knows of no registry."""
    groups: GroupDesk | None = None
    """None where the service runs without Stage-B."""


def context_of(request: Request) -> Context:
    """The context of the application that handles ``request``."""
    return cast(Context, request.app.state.context)


def desk_of(request: Request) -> GroupDesk:
    """The desk for submitted tickets. Raises ``QueueUnavailable`` where there is none."""
    desk = context_of(request).groups
    if desk is None:
        raise QueueUnavailable("this service was started without Stage-B (VQC_STAGE_B=off)")
    return desk


def guidance_of(request: Request) -> GuidanceBook:
    """The guidance of every mission."""
    return context_of(request).guidance
