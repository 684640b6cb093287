"""The routes of proposed guidance: what runs have learned (``vqc stage-b propose``), and a person's decision on it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import Field

from service.guidance.proposal import (
    Decision,
    Effect,
    EvidenceTicket,
    GuidanceProposal,
    ProposalState,
    Reflected,
)
from service.guidance.routes import GuidanceOut, by, guidance_out
from service.guidance.services import guidance_services
from service.web.auth import Scope, require
from service.web.schemas import Wire
from vqc.missions import mission_named

router = APIRouter(prefix="/missions/{mission}/guidance/proposals", tags=["guidance"])


class ProposalOut(Wire):
    """A version that waits for a decision, or did: what it was learned from and measured to do."""

    id: str
    state: ProposalState
    guidance: GuidanceOut
    base: str = Field(description="The version that it was measured against.")
    can_be_approved: bool = Field(description="It waits, and its base is in force.")
    run: str
    by: str
    at: str
    effect: Effect | None = Field(description="On held-out tickets, all applied reflections together.")
    reflections: list[Reflected]
    tickets: list[EvidenceTicket]
    decision: Decision | None


class DecisionIn(Wire):
    """Why."""

    note: str = Field("", max_length=2000)


@router.get("", summary="The proposals for a guidance", response_model=list[ProposalOut])
async def proposals(request: Request, mission: str) -> list[ProposalOut]:
    """Every proposal: those that wait first, the newest first among each."""
    services, of = guidance_services(request), mission_named(mission)

    def found() -> list[ProposalOut]:
        in_force = services.versions.in_force(of).digest
        return [_proposal_out(one, in_force) for one in services.proposals.proposals(of)]

    return await asyncio.to_thread(found)


@router.post("/{proposal}/approve", summary="Put a proposal in force", response_model=ProposalOut)
async def approve(
    request: Request, mission: str, proposal: str, body: Annotated[DecisionIn | None, Body()] = None
) -> ProposalOut:
    """409 if it is decided on, or if its base is no longer in force; needs the scope ``admin``."""
    require(request, Scope.ADMIN)
    book, of, who = guidance_services(request).proposals, mission_named(mission), by(request)
    decided = await asyncio.to_thread(lambda: book.approve(of, proposal, by=who, note=_note(body)))
    return _proposal_out(decided, decided.guidance.digest)


@router.post("/{proposal}/reject", summary="Reject a proposal", response_model=ProposalOut)
async def reject(
    request: Request, mission: str, proposal: str, body: Annotated[DecisionIn | None, Body()] = None
) -> ProposalOut:
    """409 if it is decided on; needs the scope ``admin``."""
    require(request, Scope.ADMIN)
    book, of, who = guidance_services(request).proposals, mission_named(mission), by(request)
    decided = await asyncio.to_thread(lambda: book.reject(of, proposal, by=who, note=_note(body)))
    return _proposal_out(decided, None)


def _note(body: DecisionIn | None) -> str:
    return body.note if body else ""


def _proposal_out(one: GuidanceProposal, in_force: str | None) -> ProposalOut:
    return ProposalOut(
        id=one.id,
        state=one.state,
        guidance=guidance_out(one.guidance),
        base=one.base.digest,
        can_be_approved=one.state is ProposalState.PENDING and one.base.digest == in_force,
        run=one.run,
        by=one.by,
        at=one.at,
        effect=one.effect,
        reflections=list(one.reflections),
        tickets=list(one.tickets),
        decision=one.decision,
    )
