"""Missions and their guidance: what is in force, how it came to be, what waits for a decision; changes need the scope admin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from service.console.guidance_view import MissionRow, mission_row, mission_view
from service.console.render import page, short, words_of
from service.console.visitor import by
from service.console.words import known
from service.guidance.services import GuidanceServices, guidance_services
from service.platform.errors import GuidanceConflict, ProposalDecided
from service.web.auth import Scope, caller_of, require
from service.web.problems import problem_of
from vqc.errors import InvalidValue, VqcError
from vqc.missions import Mission, mission_named, missions

router = APIRouter(prefix="/console/guidance")

Note = Annotated[str, Form(max_length=2000)]


@router.get("")
async def every_mission(request: Request) -> Response:
    """The missions, each with its version in force and how many proposals wait."""
    services = guidance_services(request)

    def found() -> list[MissionRow]:
        return [mission_row(mission, services.versions, services.proposals) for mission in missions().values()]

    return page(request, "guidance_missions.html", rows=await asyncio.to_thread(found))


@router.get("/{mission}")
async def one_mission(request: Request, mission: str, done: str = "") -> Response:
    """Rules in force, proposals, versions, history; ``done`` is what was just done."""
    return await _page(request, mission_named(mission), done=done)


@router.post("/{mission}/approve")
async def approve(
    request: Request, mission: str, proposal: Annotated[str, Form(max_length=64)], note: Note = ""
) -> Response:
    """Puts a proposal in force."""
    return await _changed(
        request,
        mission,
        "approved",
        lambda services, of: services.proposals.approve(of, proposal, by=by(request), note=note.strip()),
    )


@router.post("/{mission}/reject")
async def reject(
    request: Request, mission: str, proposal: Annotated[str, Form(max_length=64)], note: Note = ""
) -> Response:
    """Rejects a proposal."""
    return await _changed(
        request,
        mission,
        "rejected",
        lambda services, of: services.proposals.reject(of, proposal, by=by(request), note=note.strip()),
    )


@router.post("/{mission}/rollback")
async def rollback(
    request: Request,
    mission: str,
    to: Annotated[str, Form(max_length=64)],
    expected: Annotated[str, Form(max_length=64)],
    note: Note = "",
) -> Response:
    """Puts an earlier version back in force, if ``expected`` still is."""
    return await _changed(
        request,
        mission,
        "rolled_back",
        lambda services, of: services.versions.rollback(
            of, expected=expected, to=to, by=by(request), note=note.strip()
        ),
    )


async def _changed(
    request: Request, mission: str, done: str, change: Callable[[GuidanceServices, Mission], object]
) -> Response:
    """Back to the mission's page, which says what was done, or why it could not be."""
    require(request, Scope.ADMIN)
    services, of = guidance_services(request), mission_named(mission)
    try:
        await asyncio.to_thread(change, services, of)
    except (GuidanceConflict, ProposalDecided, InvalidValue) as error:
        return await _page(request, of, error=error)
    return RedirectResponse(request.url.path.rpartition("/")[0] + f"?done={done}", 303)


async def _page(request: Request, mission: Mission, *, done: str = "", error: VqcError | None = None) -> Response:
    services, status = guidance_services(request), problem_of(error).status if error else 200
    view = await asyncio.to_thread(mission_view, mission, services.versions, services.proposals)
    return page(
        request,
        "guidance.html",
        status,
        view=view,
        why=_why(error, words_of(request)) if error else "",
        done=done if known(f"guidance.done_{done}") else "",
        may_change=Scope.ADMIN in caller_of(request).scopes,
    )


def _why(error: VqcError, t: Callable[..., str]) -> str:
    """Why nothing was changed; what no page offers is said as the API says it."""
    match error:
        case GuidanceConflict():
            return t("guidance.other_in_force", now=short(error.in_force), expected=short(error.expected))
        case ProposalDecided():
            state, at = t(f"guidance.state_{error.state}"), error.at[:19].replace("T", " ")
            return t("guidance.already_decided", proposal=error.proposal_id, by=error.by, at=at, state=state)
        case _:
            return str(error)
