"""The worker's own small HTTP side: whether it lives, whether it can work, its metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Page = Callable[[str], Awaitable[tuple[bytes, str]]]
"""The scrape page for an ``Accept`` header, and its content type."""


def create_worker_app(reasons: Callable[[], Awaitable[list[str]]], page: Page) -> Starlette:
    """``reasons`` why no ticket could be judged now, empty if one could; ``page`` brings the scrape page."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        found = await reasons()
        return JSONResponse({"ready": not found, "reasons": found}, 503 if found else 200)

    async def metrics(request: Request) -> Response:
        body, content_type = await page(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
