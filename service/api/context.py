"""What the routes work with, put together by the bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from engine.protocol import Engine
from service.api.auth import KeyRing
from service.application.caption import CaptionPhoto
from service.application.intake import Intake
from service.application.photos import FetchPhoto
from service.application.stage_a import SummarisePhotos
from service.domain.results import ServedModel
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

    engine: Engine
    model: ServedModel
    caption: CaptionPhoto
    stage_a: SummarisePhotos
    fetch: FetchPhoto
    keys: KeyRing
    intake: Intake
    metrics: Metrics
    defaults: Defaults
    max_body_bytes: int


def context_of(request: Request) -> Context:
    """The context of the application that handles ``request``."""
    return cast(Context, request.app.state.context)
