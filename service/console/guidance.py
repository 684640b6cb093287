"""Missions and their guidance: the active version, its history, and pending proposals; changes need the scope admin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from service.console.guidance_view import MissionRow, mission_row, mission_view
from service.console.mission_view import asked_prompts, origin_of
from service.console.render import page, short, words_of
from service.console.visitor import actor_of
from service.console.words import has_text
from service.guidance.guidance import Guidance
from service.guidance.services import GuidanceServices, guidance_services
from service.judging.release_state import ReleaseState
from service.models.services import model_services
from service.platform.audit_log import Action
from service.platform.errors import GuidanceConflict, ProposalDecided
from service.tickets.services import optional_ticket_services
from service.web.audit import record
from service.web.auth import Scope, caller_of, require
from service.web.problems import problem_of
from vqc.errors import InvalidValue, VqcError
from vqc.missions import Mission, mission_named, missions

router = APIRouter(prefix="/console/guidance")

Note = Annotated[str, Form(max_length=2000)]


@router.get("")
async def every_mission(request: Request) -> Response:
    """The missions, each with its active version and the number of pending proposals."""
    services, read_release = guidance_services(request), _release_reader(request)
    model = model_services(request).router.model

    def read_rows() -> list[MissionRow]:
        versions, proposals = services.versions, services.proposals
        return [mission_row(mission, versions, proposals, read_release) for mission in missions().values()]

    return page(
        request,
        "guidance_missions.html",
        rows=await asyncio.to_thread(read_rows),
        origin=partial(origin_of, model=model),
    )


@router.get("/{mission}")
async def one_mission(request: Request, mission: str, done: str = "") -> Response:
    """The active rules, proposals, versions and history; ``done`` names the change just made."""
    return await _page(request, mission_named(mission), done=done)


@router.post("/{mission}/approve")
async def approve(
    request: Request, mission: str, proposal: Annotated[str, Form(max_length=64)], note: Note = ""
) -> Response:
    """Approves a proposal, which makes it the active version."""
    return await _apply_change(
        request,
        mission,
        "approved",
        Action.PROPOSAL_APPROVED,
        {"proposal": proposal},
        lambda services, of: services.proposals.approve(of, proposal, by=actor_of(request), note=note.strip()),
    )


@router.post("/{mission}/reject")
async def reject(
    request: Request, mission: str, proposal: Annotated[str, Form(max_length=64)], note: Note = ""
) -> Response:
    """Rejects a proposal."""
    return await _apply_change(
        request,
        mission,
        "rejected",
        Action.PROPOSAL_REJECTED,
        {"proposal": proposal},
        lambda services, of: services.proposals.reject(of, proposal, by=actor_of(request), note=note.strip()),
    )


@router.post("/{mission}/rollback")
async def rollback(
    request: Request,
    mission: str,
    to: Annotated[str, Form(max_length=64)],
    expected: Annotated[str, Form(max_length=64)],
    note: Note = "",
) -> Response:
    """Makes an earlier version active again, if ``expected`` is the active one."""
    return await _apply_change(
        request,
        mission,
        "rolled_back",
        Action.GUIDANCE_ROLLED_BACK,
        {"before": expected, "version": to},
        lambda services, of: services.versions.rollback(
            of, expected=expected, to=to, by=actor_of(request), note=note.strip()
        ),
    )


def _release_reader(request: Request) -> Callable[[Guidance], ReleaseState | None]:
    """Reads the release state under a guidance version and the active model; None without Stage-B."""
    tickets, model = optional_ticket_services(request), model_services(request).router.model.digest
    return lambda active: tickets.releases.read(active, model) if tickets else None


async def _apply_change(
    request: Request,
    mission: str,
    done: str,
    action: Action,
    fields: Mapping[str, str],
    change: Callable[[GuidanceServices, Mission], object],
) -> Response:
    """Makes a change; the mission's page then shows the change, or the reason why it failed."""
    require(request, Scope.ADMIN)
    services, of = guidance_services(request), mission_named(mission)
    try:
        await asyncio.to_thread(change, services, of)
    except (GuidanceConflict, ProposalDecided, InvalidValue) as error:
        return await _page(request, of, error=error)
    await record(request, action, mission=of.name, **fields)
    return RedirectResponse(request.url.path.rpartition("/")[0] + f"?done={done}", 303)


async def _page(request: Request, mission: Mission, *, done: str = "", error: VqcError | None = None) -> Response:
    services, status = guidance_services(request), problem_of(error).status if error else 200
    view = await asyncio.to_thread(mission_view, mission, services.versions, services.proposals)
    release = await asyncio.to_thread(_release_reader(request), view.active)
    return page(
        request,
        "guidance.html",
        status,
        view=view,
        release=release,
        origin=origin_of(mission, model_services(request).router.model),
        prompts=asked_prompts(mission, view.active),
        why=_why(error, words_of(request)) if error else "",
        done=done if has_text(f"guidance.done_{done}") else "",
        may_change=Scope.ADMIN in caller_of(request).scopes,
    )


def _why(error: VqcError, t: Callable[..., str]) -> str:
    """Why a change failed; errors that no page can cause have the API's text."""
    match error:
        case GuidanceConflict():
            return t("guidance.other_active", now=short(error.active), expected=short(error.expected))
        case ProposalDecided():
            state, at = t(f"guidance.state_{error.state}"), error.at[:19].replace("T", " ")
            return t("guidance.already_decided", proposal=error.proposal_id, by=error.by, at=at, state=state)
        case _:
            return str(error)
