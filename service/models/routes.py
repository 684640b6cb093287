"""Which models are in force, and the call that has one replaced."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from engine.protocol import StartPhase
from service.models.router import Deployment
from service.models.services import model_services
from service.models.swap import Served, Swap
from service.platform.errors import Draining, SwapFailed
from service.web.auth import Scope, require
from service.web.schemas import Wire
from service.web.services import web_services

router = APIRouter(tags=["models"])


class ServedOut(Wire):
    """A model and what it is in service for. ``draining`` finishes what it has; then its engine stops."""

    role: Literal["main", "canary", "shadow", "draining"]
    alias: str
    digest: str | None = Field(description="Null while nothing is in force in the role.")
    ready: bool
    reason: str
    phase: StartPhase | None = Field(default=None, description="What its engine does while it starts.")
    pinned: int = Field(description="Requests and tickets that are on it now.")
    restarts: int


class SwapOut(Wire):
    """What replacing a model did. Rollback is the same: move the alias back."""

    alias: str
    outcome: Literal["swapped", "unchanged", "withdrawn"]
    before: str | None
    digest: str
    mode: Literal["blue_green", "drain"] | None = Field(description="Null where no engine had to be started.")
    seconds: float
    double_memory_s: float = Field(description="Seconds with two engines up.")
    cut: int = Field(description="Requests that did not finish within VQC_SWAP_DRAIN_S.")


class ModelsOut(Wire):
    """Everything in force, and the swap under way or the last one."""

    models: list[ServedOut]
    swapping: str | None = Field(description="What the swap under way is at.")
    last_swap: SwapOut | None
    last_failure: str | None = Field(description="Why the last swap failed, if it did.")


@router.get("/models", summary="Which models are in force", response_model=ModelsOut)
async def models(request: Request) -> ModelsOut:
    """The main model, a canary and a shadow if there are any, and engines that finish what they have."""
    services = model_services(request)
    in_force = [_served_out(served, services.router.in_force(served.role)) for served in services.swaps.served]
    swaps, last = services.swaps, services.swaps.last
    return ModelsOut(
        models=[*await asyncio.gather(*in_force), *map(_draining, swaps.stopping)],
        swapping=swaps.doing,
        last_swap=swap_out(last) if isinstance(last, Swap) else None,
        last_failure=str(last) if isinstance(last, SwapFailed) else None,
    )


@router.post("/models/{alias}/reload", summary="Put in force what the alias names now", response_model=SwapOut)
async def reload(request: Request, alias: str) -> SwapOut:
    """Replaces the model without losing a request and answers when that is done; needs the scope ``admin``.

    A version that cannot be fetched, was trained under another contract or does not come up leaves the old one in force: 502.
    """
    require(request, Scope.ADMIN)
    if web_services(request).admission.leaving:
        raise Draining
    return swap_out(await model_services(request).swaps.reload(alias))


def swap_out(swap: Swap) -> SwapOut:
    """A swap as it goes over the wire."""
    return SwapOut(
        alias=swap.alias,
        outcome=swap.outcome,
        before=swap.before,
        digest=swap.digest,
        mode=swap.mode,
        seconds=round(swap.seconds, 3),
        double_memory_s=round(swap.double_memory_s, 3),
        cut=swap.cut,
    )


async def _served_out(served: Served, deployment: Deployment | None) -> ServedOut:
    if deployment is None:
        return ServedOut(
            role=served.role.value,
            alias=served.alias,
            digest=None,
            ready=False,
            reason="not in force",
            pinned=0,
            restarts=0,
        )
    health = await deployment.engine.health()
    return ServedOut(
        role=served.role.value,
        alias=deployment.model.alias,
        digest=deployment.model.digest,
        ready=health.ready,
        reason=health.reason,
        phase=health.phase,
        pinned=deployment.holders,
        restarts=health.restarts,
    )


def _draining(deployment: Deployment) -> ServedOut:
    return ServedOut(
        role="draining",
        alias=deployment.model.alias,
        digest=deployment.model.digest,
        ready=False,
        reason="finishes what it has",
        pinned=deployment.holders,
        restarts=0,
    )
