"""Everything that the wiring has put together: one value per capability."""

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
    """The capabilities of one process. ``tickets`` None: the service runs without Stage-B."""

    web: WebServices
    photos: PhotoServices
    models: ModelServices
    guidance: GuidanceServices
    metrics: Metrics
    tickets: TicketServices | None = None

    def attach_to(self, app: FastAPI) -> None:
        """Lets the routes of ``app`` reach each capability by its own function, such as ``photo_services(request)``."""
        app.state.web = self.web
        app.state.photos = self.photos
        app.state.models = self.models
        app.state.guidance = self.guidance
        app.state.metrics = self.metrics
        app.state.tickets = self.tickets
