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


@router.get("/healthz", summary="Check liveness", tags=["operations"])
async def healthz() -> dict[str, str]:
    """Returns 200 while the process runs; does not check the engine."""
    return {"status": "ok"}


@router.get("/readyz", summary="Check readiness", tags=["operations"], response_model=HealthOut)
async def readyz(request: Request) -> Response:
    """Returns 200 if the service accepts work and its engine and queue answer, else 503 with the reasons."""
    return await _readiness(request, optional_ticket_services(request))


@router.get("/readyz/captions", summary="Check readiness for captions", tags=["operations"], response_model=HealthOut)
async def readyz_captions(request: Request) -> Response:
    """As ``/readyz``, without the queue: captions and Stage-A stay available while Redis is down."""
    return await _readiness(request, None)


@router.get("/metrics", summary="Read the metrics", tags=["operations"], response_class=Response)
async def metrics(request: Request) -> Response:
    """Returns the metrics in Prometheus text format, or in OpenMetrics with exemplars if ``Accept`` has it."""
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
