"""What the routes work with, put together by the bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from service.api.auth import KeyRing
from service.api.groups_desk import GroupDesk
from service.application.caption import CaptionPhoto
from service.application.guidance import GuidanceBook
from service.application.intake import Intake
from service.application.models import ModelRouter
from service.application.models_catalogue import ModelCatalogue
from service.application.models_swap import SwapModels
from service.application.photos import FetchPhoto, PhotoReader
from service.application.proposals import ProposalBook
from service.application.stage_a import SummarisePhotos
from service.domain.errors import QueueUnavailable
from service.domain.hosts import HostRule
from service.metrics import Metrics


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
