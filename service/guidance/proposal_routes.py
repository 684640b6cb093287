"""The routes of guidance proposals (``vqc stage-b propose``) and of the decisions on them."""

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
from service.guidance.routes import GuidanceOut, caller_name, guidance_out
from service.guidance.services import guidance_services
from service.platform.audit_log import Action
from service.web.audit import record
from service.web.auth import Scope, require
from service.web.schemas import Wire
from vqc.missions import mission_named

router = APIRouter(prefix="/missions/{mission}/guidance/proposals", tags=["guidance"])


class ProposalOut(Wire):
    """A proposed version, the tickets that it was learned from, and its measured effect."""

    id: str
    state: ProposalState
    guidance: GuidanceOut
    base: str = Field(description="The digest of the version that the effect was measured against.")
    can_be_approved: bool = Field(description="True while it is pending and its base is active.")
    run: str
    by: str
    at: str
    effect: Effect | None = Field(description="The effect of all applied reflections on the held-out tickets.")
    reflections: list[Reflected]
    tickets: list[EvidenceTicket]
    decision: Decision | None


class DecisionIn(Wire):
    """The note that is stored with the decision."""

    note: str = Field("", max_length=2000)


@router.get("", summary="List guidance proposals", response_model=list[ProposalOut])
async def proposals(request: Request, mission: str) -> list[ProposalOut]:
    """Every proposal: pending ones first, and each part newest first."""
    services, of = guidance_services(request), mission_named(mission)

    def read_proposals() -> list[ProposalOut]:
        active = services.versions.active_version(of).digest
        return [_proposal_out(one, active) for one in services.proposals.proposals(of)]

    return await asyncio.to_thread(read_proposals)


@router.post("/{proposal}/approve", summary="Approve a proposal", response_model=ProposalOut)
async def approve(
    request: Request, mission: str, proposal: str, body: Annotated[DecisionIn | None, Body()] = None
) -> ProposalOut:
    """Activates the proposed version. Returns 409 if a decision was already made, or if the base is no longer active.

    Needs the scope ``admin``.
    """
    require(request, Scope.ADMIN)
    store, of, caller = guidance_services(request).proposals, mission_named(mission), caller_name(request)
    decided = await asyncio.to_thread(lambda: store.approve(of, proposal, by=caller, note=_note(body)))
    await record(request, Action.PROPOSAL_APPROVED, mission=of.name, proposal=proposal)
    return _proposal_out(decided, decided.guidance.digest)


@router.post("/{proposal}/reject", summary="Reject a proposal", response_model=ProposalOut)
async def reject(
    request: Request, mission: str, proposal: str, body: Annotated[DecisionIn | None, Body()] = None
) -> ProposalOut:
    """Rejects the proposal. Returns 409 if a decision was already made. Needs the scope ``admin``."""
    require(request, Scope.ADMIN)
    store, of, caller = guidance_services(request).proposals, mission_named(mission), caller_name(request)
    decided = await asyncio.to_thread(lambda: store.reject(of, proposal, by=caller, note=_note(body)))
    await record(request, Action.PROPOSAL_REJECTED, mission=of.name, proposal=proposal)
    return _proposal_out(decided, None)


def _note(body: DecisionIn | None) -> str:
    return body.note if body else ""


def _proposal_out(one: GuidanceProposal, active: str | None) -> ProposalOut:
    return ProposalOut(
        id=one.id,
        state=one.state,
        guidance=guidance_out(one.guidance),
        base=one.base.digest,
        can_be_approved=one.state is ProposalState.PENDING and one.base.digest == active,
        run=one.run,
        by=one.by,
        at=one.at,
        effect=one.effect,
        reflections=list(one.reflections),
        tickets=list(one.tickets),
        decision=one.decision,
    )
