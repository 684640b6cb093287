"""What the guidance routes work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from service.guidance.edit import GuidanceBook
from service.guidance.proposals import ProposalBook


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceServices:
    """Guidance versions of every mission, and the proposals that wait for approval."""

    versions: GuidanceBook
    proposals: ProposalBook


def guidance_services(request: Request) -> GuidanceServices:
    """The guidance services of the application that handles ``request``."""
    return cast(GuidanceServices, request.app.state.guidance)
