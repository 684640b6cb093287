"""What the model routes need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from starlette.requests import Request

from service.models.router import ModelRouter
from service.models.swap import SwapModels

if TYPE_CHECKING:
    from service.models.registry_catalogue import RegistryCatalogue  # which loads the registry


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelServices:
    """The active models, their swaps, and the versions to choose from. ``catalogue`` None: no registry is configured."""

    router: ModelRouter
    swaps: SwapModels
    catalogue: RegistryCatalogue | None = None


def model_services(request: Request) -> ModelServices:
    """The model services of the application that handles ``request``."""
    return cast(ModelServices, request.app.state.models)
