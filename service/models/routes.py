"""Routes: the active models, and the reload of one."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from engine.protocol import StartPhase
from service.models.deployment import Deployment
from service.models.services import model_services
from service.models.swap import ServedRole, SwapResult
from service.platform.audit_log import Action
from service.platform.errors import Draining, SwapFailed
from service.web.audit import record
from service.web.auth import Scope, require
from service.web.schemas import Wire
from service.web.services import web_services

router = APIRouter(tags=["models"])


class ServedOut(Wire):
    """A model and its role. ``draining`` finishes its requests; then its engine stops."""

    role: Literal["main", "canary", "shadow", "draining"]
    alias: str
    digest: str | None = Field(description="Null while the role has no active model.")
    ready: bool
    reason: str
    phase: StartPhase | None = Field(default=None, description="The phase of its engine's start.")
    pinned: int = Field(description="Requests and tickets in flight on it.")
    restarts: int


class SwapOut(Wire):
    """The result of a swap. A rollback is a swap too: move the alias back."""

    alias: str
    outcome: Literal["swapped", "unchanged", "withdrawn"]
    before: str | None
    digest: str
    mode: Literal["blue_green", "drain"] | None = Field(description="Null if no engine had to start.")
    seconds: float
    double_memory_s: float = Field(description="Seconds with two engines up.")
    cut: int = Field(description="Requests that did not finish within VQC_SWAP_DRAIN_S.")


class ModelsOut(Wire):
    """The active models, and the running swap or the last one."""

    models: list[ServedOut]
    swapping: str | None = Field(description="The progress of the running swap; null if no swap is running.")
    last_swap: SwapOut | None
    last_failure: str | None = Field(description="Why the last swap failed; null if it succeeded.")


@router.get("/models", summary="List the active models", response_model=ModelsOut)
async def models(request: Request) -> ModelsOut:
    """The main model, the canary and the shadow if they are configured, and engines that are draining."""
    services = model_services(request)
    swaps, last = services.swaps, services.swaps.status.last_result
    active = [_served_out(served, services.router.active(served.role)) for served in swaps.served]
    return ModelsOut(
        models=[*await asyncio.gather(*active), *map(_draining_out, swaps.stopping)],
        swapping=swaps.status.summary,
        last_swap=swap_out(last) if isinstance(last, SwapResult) else None,
        last_failure=str(last) if isinstance(last, SwapFailed) else None,
    )


@router.post("/models/{alias}/reload", summary="Activate the version that the alias names now", response_model=SwapOut)
async def reload(request: Request, alias: str) -> SwapOut:
    """Replaces the model without losing a request and responds when the swap has ended. Requires the scope ``admin``.

    If the version cannot be fetched, was trained under another contract or does not start, the old one stays active: 502.
    """
    require(request, Scope.ADMIN)
    if web_services(request).admission.leaving:
        raise Draining
    swap = await model_services(request).swaps.reload(alias)
    await record(request, Action.MODEL_RELOADED, alias=alias, before=swap.before, version=swap.digest)
    return swap_out(swap)


def swap_out(swap: SwapResult) -> SwapOut:
    """The result of a swap as it goes over the wire."""
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


async def _served_out(served: ServedRole, deployment: Deployment | None) -> ServedOut:
    if deployment is None:
        return ServedOut(
            role=served.role.value,
            alias=served.alias,
            digest=None,
            ready=False,
            reason="not active",
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
        pinned=deployment.in_flight.count,
        restarts=health.restarts,
    )


def _draining_out(deployment: Deployment) -> ServedOut:
    return ServedOut(
        role="draining",
        alias=deployment.model.alias,
        digest=deployment.model.digest,
        ready=False,
        reason="finishes its requests",
        pinned=deployment.in_flight.count,
        restarts=0,
    )
