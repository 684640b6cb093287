"""The routes of missions and their guidance. Only a key with the scope ``admin`` changes it; no ticket ever does."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import Field

from service.guidance.edit import WrittenRule, edited
from service.guidance.guidance import Guidance, diff
from service.guidance.services import guidance_services
from service.web.auth import Scope, caller_of, require
from service.web.schemas import Wire
from vqc.missions import mission_named, missions

router = APIRouter(prefix="/missions", tags=["guidance"])


class RuleIn(Wire):
    """A rule as it shall be. An id keeps that rule, with this text; none makes a new one."""

    id: str | None = None
    text: str = Field(min_length=1, max_length=200)
    evidence: list[str] = Field(default_factory=list, description="Ids of the tickets that it was learned from.")


class GuidanceIn(Wire):
    """The whole guidance as it shall be; ``expected`` is the digest of the version that was edited."""

    expected: str
    rules: list[RuleIn] = Field(max_length=64)
    focus: str | None = Field(None, min_length=1, max_length=200)
    note: str = Field("", max_length=2000)


class RollbackIn(Wire):
    """Back to the parent of the version in force, or to the one that ``to`` names by digest."""

    expected: str
    to: str | None = None
    note: str = Field("", max_length=2000)


class RuleOut(Wire):
    """One rule."""

    id: str
    text: str
    evidence: list[str]


class GuidanceOut(Wire):
    """One version of a mission's guidance."""

    mission: str
    version: str = Field(description="SHA-256 of the version.")
    step: int
    parent: str | None
    focus: str
    rules: list[RuleOut]


class VersionOut(Wire):
    """A version in a list, with what it changed."""

    version: str
    step: int
    parent: str | None
    in_force: bool
    changes: dict[str, list[str | None]] = Field(description="By rule id: the text in its parent, and in it.")


class HistoryOut(Wire):
    """What happened to a mission's guidance."""

    at: str
    action: str
    version: str
    step: int
    by: str
    note: str
    run: str = Field(description="The run that learned the version; empty where none did.")


class VersionsOut(Wire):
    """Every version that is kept, oldest first, and who put which in force."""

    mission: str
    versions: list[VersionOut]
    history: list[HistoryOut]


class MissionOut(Wire):
    """A mission and the version of its guidance in force."""

    name: str
    domain: str
    focus: str
    requirement: str
    key_items: list[str]
    vote_threshold: float
    guidance: str


@router.get("", summary="The missions", response_model=list[MissionOut])
async def every_mission(request: Request) -> list[MissionOut]:
    """Every mission by its exact name."""
    book = guidance_services(request).versions

    def found() -> list[MissionOut]:
        return [
            MissionOut(
                name=mission.name,
                domain=mission.domain,
                focus=mission.focus,
                requirement=mission.requirement,
                key_items=[item.name for item in mission.key_items],
                vote_threshold=mission.vote_threshold,
                guidance=book.in_force(mission).digest,
            )
            for mission in missions().values()
        ]

    return await asyncio.to_thread(found)


@router.get("/{mission}/guidance", summary="The guidance in force", response_model=GuidanceOut)
async def guidance(request: Request, mission: str) -> GuidanceOut:
    """The version that new tickets of the mission are judged under."""
    book = guidance_services(request).versions
    return guidance_out(await asyncio.to_thread(book.in_force, mission_named(mission)))


@router.put("/{mission}/guidance", summary="Put other guidance in force", response_model=GuidanceOut)
async def put(request: Request, mission: str, body: Annotated[GuidanceIn, Body()]) -> GuidanceOut:
    """Makes a new version and puts it in force; 409 if somebody else was faster. Needs the scope ``admin``.

    Tickets that are being judged stay under the version that they were begun with.
    """
    require(request, Scope.ADMIN)
    book, who, of = guidance_services(request).versions, by(request), mission_named(mission)
    rules = [WrittenRule(id=rule.id, text=rule.text, evidence=tuple(rule.evidence)) for rule in body.rules]

    def written() -> Guidance:
        after = edited(book.in_force(of), rules, body.focus)
        book.approve(of, after, expected=body.expected, by=who, note=body.note)
        return after

    return guidance_out(await asyncio.to_thread(written))


@router.get("/{mission}/guidance/versions", summary="The versions of a guidance", response_model=VersionsOut)
async def versions(request: Request, mission: str) -> VersionsOut:
    """Every version that is kept with what it changed, and the history of who put which in force."""
    book, of = guidance_services(request).versions, mission_named(mission)

    def found() -> VersionsOut:
        kept, current = book.versions(of), book.in_force(of).digest
        return VersionsOut(
            mission=of.name,
            versions=[_version_out(one, kept, current) for one in kept],
            history=[
                HistoryOut(at=e.at, action=e.action, version=e.version, step=e.step, by=e.by, note=e.note, run=e.run)
                for e in book.history(of)
            ],
        )

    return await asyncio.to_thread(found)


@router.post("/{mission}/guidance/rollback", summary="Put earlier guidance back in force", response_model=GuidanceOut)
async def rollback(request: Request, mission: str, body: Annotated[RollbackIn, Body()]) -> GuidanceOut:
    """Puts an earlier version back in force; needs the scope ``admin``."""
    require(request, Scope.ADMIN)
    book, who, of = guidance_services(request).versions, by(request), mission_named(mission)
    return guidance_out(
        await asyncio.to_thread(lambda: book.rollback(of, expected=body.expected, by=who, to=body.to, note=body.note))
    )


def by(request: Request) -> str:
    """Who changes guidance, as its history names them."""
    return caller_of(request).key_id or "anonymous"


def guidance_out(one: Guidance) -> GuidanceOut:
    """A version over the wire."""
    rules = [RuleOut(id=rule.id, text=rule.text, evidence=list(rule.evidence)) for rule in one.rules]
    return GuidanceOut(
        mission=one.mission, version=one.digest, step=one.step, parent=one.parent, focus=one.focus, rules=rules
    )


def _version_out(one: Guidance, kept: tuple[Guidance, ...], current: str) -> VersionOut:
    parent = next((other for other in kept if other.digest == one.parent), None)
    changes = {change.id: [change.before, change.after] for change in diff(parent, one)} if parent else {}
    return VersionOut(
        version=one.digest, step=one.step, parent=one.parent, in_force=one.digest == current, changes=changes
    )
