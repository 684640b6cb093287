"""The HTTP endpoints of a worker: liveness, readiness and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MetricsPage = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Returns the metrics page for an ``Accept`` header, and its content type."""


def create_worker_app(find_problems: Callable[[], Awaitable[list[str]]], metrics_page: MetricsPage) -> Starlette:
    """``find_problems`` returns the reasons why no ticket can be judged now; ``metrics_page`` renders the metrics."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        problems = await find_problems()
        return JSONResponse({"ready": not problems, "reasons": problems}, 503 if problems else 200)

    async def metrics(request: Request) -> Response:
        body, content_type = await metrics_page(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
