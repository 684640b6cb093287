"""The capabilities of one process: one value each."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI

from service.app.metrics import Metrics
from service.guidance.services import GuidanceServices
from service.models.services import ModelServices
from service.photos.services import PhotoServices
from service.tickets.services import TicketServices
from service.web.services import WebServices


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the wiring makes. ``tickets`` is None if Stage-B is off."""

    web: WebServices
    photos: PhotoServices
    models: ModelServices
    guidance: GuidanceServices
    metrics: Metrics
    tickets: TicketServices | None = None

    def attach_to(self, app: FastAPI) -> None:
        """Makes each capability available to the routes of ``app``, as in ``photo_services(request)``."""
        app.state.web = self.web
        app.state.photos = self.photos
        app.state.models = self.models
        app.state.guidance = self.guidance
        app.state.metrics = self.metrics
        app.state.tickets = self.tickets
