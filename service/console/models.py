"""The models in service, the versions of the registry, the gates of a promotion; changes need the scope admin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from service.console.models_view import charts
from service.console.render import page, words_of
from service.console.visitor import actor_of
from service.console.words import has_text
from service.models.routes import models as in_service
from service.models.services import model_services
from service.platform.audit_log import Action
from service.platform.errors import CatalogueUnavailable, Draining, NotPromoted, SwapRunning, UnknownModel
from service.web.audit import record
from service.web.auth import Scope, caller_of, require
from service.web.problems import problem_of
from service.web.services import web_services
from vqc.errors import VqcError

if TYPE_CHECKING:
    from service.models.registry_catalogue import RegistryCatalogue

router = APIRouter(prefix="/console/models")

Ref = Annotated[str, Form(max_length=200)]
Reason = Annotated[str, Form(max_length=2000)]


@router.get("")
async def every_model(request: Request, done: str = "") -> Response:
    """The models in service and the versions of the registry; ``done`` names the change just made."""
    return await _page(request, done=done)


@router.get("/serving")
async def serving(request: Request) -> Response:
    """The part with the models in service and the progress of a swap, which the page polls."""
    models, may_change = await in_service(request), _may_change(request)
    return page(request, "models_serving.html", models=models, step=_step(request), may_change=may_change)


@router.get("/candidacy")
async def candidacy(request: Request, version: str, alias: str) -> Response:
    """The results of an alias's gates for a version, and the form that promotes it."""
    catalogue = _catalogue(request)
    found = await asyncio.to_thread(catalogue.candidacy, version, alias)
    return page(request, "models_candidacy.html", found=found, problem=None, may_change=_may_change(request))


@router.post("/promote")
async def promote(request: Request, version: Ref, alias: Ref, expected: Ref = "", reason: Reason = "") -> Response:
    """Moves the alias to the version if it passes every gate, and starts the swap."""
    return await _move_alias(
        request,
        alias,
        "promoted",
        Action.MODEL_PROMOTED,
        {"before": expected, "version": version, "reason": reason.strip()},
        lambda catalogue: catalogue.promote(
            version, alias, expected=expected or None, by=actor_of(request), reason=reason.strip()
        ),
    )


@router.post("/rollback")
async def rollback(request: Request, alias: Ref, expected: Ref, to: Ref, reason: Reason = "") -> Response:
    """Moves the alias back, and starts the swap."""
    return await _move_alias(
        request,
        alias,
        "rolled_back",
        Action.MODEL_ROLLED_BACK,
        {"before": expected, "version": to, "reason": reason.strip()},
        lambda catalogue: catalogue.rollback(
            alias, expected=expected, to=to, by=actor_of(request), reason=reason.strip()
        ),
    )


@router.post("/reload")
async def reload(request: Request, alias: Ref) -> Response:
    """Starts the swap to the version that the alias points to; the page then shows its progress."""
    require(request, Scope.ADMIN)
    try:
        if web_services(request).admission.draining:
            raise Draining
        model_services(request).swaps.start(alias)
    except (Draining, SwapRunning, UnknownModel) as error:
        return await _page(request, error=error)
    await record(request, Action.MODEL_RELOADED, alias=alias)
    return RedirectResponse("/console/models?done=reloading", 303)


async def _move_alias(
    request: Request,
    alias: str,
    done: str,
    action: Action,
    fields: Mapping[str, str],
    move: Callable[[RegistryCatalogue], None],
) -> Response:
    require(request, Scope.ADMIN)
    try:
        await asyncio.to_thread(move, _catalogue(request))
    except (NotPromoted, CatalogueUnavailable) as error:
        return await _page(request, error=error)
    await record(request, action, alias=alias, **fields)
    with suppress(UnknownModel, SwapRunning):  # the alias is not served here, or the registry's watch will follow it
        model_services(request).swaps.start(alias)
    return RedirectResponse(f"/console/models?done={done}", 303)


async def _page(request: Request, *, done: str = "", error: VqcError | None = None) -> Response:
    catalogue, problem = model_services(request).catalogue, problem_of(error) if error else None
    shown, drawn = None, []
    if catalogue is not None:
        try:
            shown = await asyncio.to_thread(catalogue.snapshot)
            for one in shown.aliases if not shown.policy_problem else ():
                measured = await asyncio.to_thread(catalogue.metric_histories, one.alias) if one.gated else ()
                drawn.append((one.alias, charts(measured, shown)))
        except CatalogueUnavailable as unavailable:
            problem = problem or problem_of(unavailable)
    return page(
        request,
        "models.html",
        problem.status if problem else 200,
        models=await in_service(request),
        step=_step(request),
        catalogue=shown,
        charts=drawn,
        has_registry=catalogue is not None,
        problem=problem,
        reasons=error.reasons if isinstance(error, NotPromoted) else (),
        done=done if has_text(f"models.done_{done}") else "",
        may_change=_may_change(request),
    )


def _step(request: Request) -> str | None:
    """The current step of a swap, in the visitor's language."""
    step, t = model_services(request).swaps.status.progress, words_of(request)
    if step is None:
        return None
    phase = step.values.get("phase")
    state = {"state": t(f"models.phase_{phase}")} if phase else {}
    return f"{step.about}{t('console.comma')}{t(f'messages.{step.code}', **{**step.values, **state})}"


def _catalogue(request: Request) -> RegistryCatalogue:
    catalogue = model_services(request).catalogue
    if catalogue is None:
        raise CatalogueUnavailable("VQC_REGISTRY", "this service was started without one")
    return catalogue


def _may_change(request: Request) -> bool:
    return Scope.ADMIN in caller_of(request).scopes
