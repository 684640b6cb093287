"""The services that the guidance routes use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from service.guidance.proposal_store import ProposalStore
from service.guidance.store import GuidanceStore


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceServices:
    """The guidance versions of every mission, and the proposals."""

    versions: GuidanceStore
    proposals: ProposalStore


def guidance_services(request: Request) -> GuidanceServices:
    """The guidance services of the application that handles ``request``."""
    return cast(GuidanceServices, request.app.state.guidance)
