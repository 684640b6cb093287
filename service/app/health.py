"""Liveness, readiness and metrics of the whole process."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.app.metrics import Metrics
from service.models.services import model_services
from service.photos import answers
from service.tickets.services import TicketServices, optional_ticket_services
from service.web.schemas import HealthOut
from service.web.services import web_services

router = APIRouter()


@router.get("/healthz", summary="Whether the process is alive", tags=["operations"])
async def healthz() -> dict[str, str]:
    """Answers as long as the process can answer at all; does not check the engine."""
    return {"status": "ok"}


@router.get("/readyz", summary="Whether requests would be answered", tags=["operations"], response_model=HealthOut)
async def readyz(request: Request) -> Response:
    """200 when the service accepts work and engine and queue answer; 503 with the reasons when not."""
    return await _readiness(request, optional_ticket_services(request))


@router.get(
    "/readyz/captions", summary="Whether captions would be answered", tags=["operations"], response_model=HealthOut
)
async def readyz_captions(request: Request) -> Response:
    """As ``/readyz`` without the queue: captions and Stage-A stay available while Redis is down."""
    return await _readiness(request, None)


@router.get("/metrics", summary="Prometheus metrics", tags=["operations"], response_class=Response)
async def metrics(request: Request) -> Response:
    """The metrics in Prometheus text format, or in OpenMetrics with exemplars where ``Accept`` asks for it."""
    if (tickets := optional_ticket_services(request)) is not None:
        await tickets.update_metrics()
    health = await model_services(request).router.health()
    page, content_type = cast(Metrics, request.app.state.metrics).page(health, request.headers.get("accept", ""))
    return Response(page, headers={"Content-Type": content_type})


async def _readiness(request: Request, tickets: TicketServices | None) -> Response:
    router = model_services(request).router
    health = await router.health()
    reasons = [] if health.ready else [health.reason]
    if web_services(request).admission.leaving:
        reasons.append("shutting down: new work is rejected")
    if tickets is not None:
        reasons += await tickets.find_problems()
    body = HealthOut(
        ready=not reasons,
        reasons=reasons,
        model=answers.model_out(router.model),
        engine_restarts=health.restarts,
    )
    return Response(body.model_dump_json(), 503 if reasons else 200, media_type="application/json")
