"""What the model routes work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from service.models.catalogue import ModelCatalogue
from service.models.router import ModelRouter
from service.models.swap import SwapModels


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelServices:
    """The active models, their swaps, and the versions to choose from. ``catalogue`` None: no registry is configured."""

    router: ModelRouter
    swaps: SwapModels
    catalogue: ModelCatalogue | None = None


def model_services(request: Request) -> ModelServices:
    """The model services of the application that handles ``request``."""
    return cast(ModelServices, request.app.state.models)
