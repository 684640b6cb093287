"""Wires the HTTP application."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import cache

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Lifespan

from service.app.context import Context
from service.app.health import router as health_router
from service.app.openapi import document
from service.guidance.proposal_routes import router as proposals_router
from service.guidance.routes import router as guidance_router
from service.models.routes import router as models_router
from service.photos.routes import router as photos_router
from service.platform.version import VERSION
from service.tickets.routes import router as tickets_router
from service.tickets.webhook_routes import router as webhooks_router
from service.web import problems
from service.web.gate import Gate
from service.web.proxies import behind_proxies


def create_app(
    context: Context, lifespan: Lifespan[FastAPI] | None = None, *, console: ASGIApp | None = None
) -> ASGIApp:
    """The application as a server runs it: the routes and the console's pages behind the gate."""
    app = create_routes(lifespan)
    context.attach_to(app)
    gate = Gate(
        app,
        console=console,
        web=context.web,
        metrics=context.metrics.http,
    )
    return behind_proxies(gate, context.web.trusted_proxies)


def create_routes(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """The routes alone, from which the OpenAPI document is made."""
    app = FastAPI(
        title="VQC",
        version=VERSION,
        summary="Visual quality control of installations",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(photos_router)
    app.include_router(health_router)
    app.include_router(models_router)
    app.include_router(tickets_router)
    app.include_router(webhooks_router)
    app.include_router(guidance_router)
    app.include_router(proposals_router)
    problems.install(app)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    app.add_route("/openapi.json", _openapi_route(app), include_in_schema=False)
    return app


def _openapi_route(app: FastAPI) -> Callable[[Request], Awaitable[Response]]:
    """Sends the document, made once: it takes a quarter of a second, and anyone may ask for it."""

    @cache
    def content() -> bytes:
        return json.dumps(app.openapi(), ensure_ascii=False).encode()

    async def openapi(request: Request) -> Response:
        return Response(content(), media_type="application/json")

    return openapi
