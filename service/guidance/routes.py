"""The routes of missions and their guidance. Changes need a key with the scope ``admin``."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import Field

from service.guidance.edit import WrittenRule, edit_rules
from service.guidance.guidance import Guidance, diff
from service.guidance.services import guidance_services
from service.platform.audit_log import Action
from service.web.audit import record
from service.web.auth import Scope, caller_of, require
from service.web.schemas import Wire
from vqc.missions import active, mission_named

router = APIRouter(prefix="/missions", tags=["guidance"])


class RuleIn(Wire):
    """A rule of the new version. With an id it replaces that rule; without one it is new."""

    id: str | None = None
    text: str = Field(min_length=1, max_length=200)
    evidence: list[str] = Field(default_factory=list, description="Ids of the tickets that the rule was learned from.")


class GuidanceIn(Wire):
    """The complete new version. ``expected`` is the digest of the active version that was edited."""

    expected: str
    rules: list[RuleIn] = Field(max_length=64)
    focus: str | None = Field(None, min_length=1, max_length=200)
    note: str = Field("", max_length=2000)


class RollbackIn(Wire):
    """Activates the parent of the active version, or the version that ``to`` names by digest."""

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
    """A version in a list, with its changes."""

    version: str
    step: int
    parent: str | None
    in_force: bool
    changes: dict[str, list[str | None]] = Field(description="By rule id: the text in the parent and in this version.")


class HistoryOut(Wire):
    """One change of a mission's guidance."""

    at: str
    action: str
    version: str
    step: int
    by: str
    note: str
    run: str = Field(description="The run that learned the version; empty if a person wrote it.")


class VersionsOut(Wire):
    """Every stored version, oldest first, and the history of changes."""

    mission: str
    versions: list[VersionOut]
    history: list[HistoryOut]


class MissionOut(Wire):
    """A mission and the digest of its active guidance."""

    name: str
    inspection: str
    domain: str
    focus: str
    requirement: str
    key_items: list[str]
    vote_threshold: float
    guidance: str


@router.get("", summary="List missions", response_model=list[MissionOut])
async def every_mission(request: Request) -> list[MissionOut]:
    """Every mission, with its exact name."""
    store = guidance_services(request).versions

    def read_missions() -> list[MissionOut]:
        return [
            MissionOut(
                name=mission.name,
                inspection=inspection.name,
                domain=mission.domain,
                focus=mission.focus,
                requirement=mission.requirement,
                key_items=[item.name for item in mission.key_items],
                vote_threshold=mission.vote_threshold,
                guidance=store.active_version(mission).digest,
            )
            for inspection in active().inspections
            for mission in inspection.missions.values()
        ]

    return await asyncio.to_thread(read_missions)


@router.get("/{mission}/guidance", summary="Show the active guidance", response_model=GuidanceOut)
async def guidance(request: Request, mission: str) -> GuidanceOut:
    """The version under which new tickets of the mission are judged."""
    store = guidance_services(request).versions
    return guidance_out(await asyncio.to_thread(store.active_version, mission_named(mission)))


@router.put("/{mission}/guidance", summary="Change the guidance", response_model=GuidanceOut)
async def put(request: Request, mission: str, body: Annotated[GuidanceIn, Body()]) -> GuidanceOut:
    """Creates a version and activates it. Returns 409 if another version is active by now. Needs the scope ``admin``.

    Tickets in progress keep the version that they started with.
    """
    require(request, Scope.ADMIN)
    store, caller, of = guidance_services(request).versions, caller_name(request), mission_named(mission)
    rules = [WrittenRule(id=rule.id, text=rule.text, evidence=tuple(rule.evidence)) for rule in body.rules]

    def save_version() -> Guidance:
        after = edit_rules(store.active_version(of), rules, body.focus)
        store.approve(of, after, expected=body.expected, by=caller, note=body.note)
        return after

    after = await asyncio.to_thread(save_version)
    await record(request, Action.GUIDANCE_CHANGED, mission=of.name, before=body.expected, version=after.digest)
    return guidance_out(after)


@router.get("/{mission}/guidance/versions", summary="List guidance versions", response_model=VersionsOut)
async def versions(request: Request, mission: str) -> VersionsOut:
    """Every stored version with its changes, and the history."""
    store, of = guidance_services(request).versions, mission_named(mission)

    def read_versions() -> VersionsOut:
        stored, current = store.versions(of), store.active_version(of).digest
        return VersionsOut(
            mission=of.name,
            versions=[_version_out(one, stored, current) for one in stored],
            history=[
                HistoryOut(at=e.at, action=e.action, version=e.version, step=e.step, by=e.by, note=e.note, run=e.run)
                for e in store.history(of)
            ],
        )

    return await asyncio.to_thread(read_versions)


@router.post("/{mission}/guidance/rollback", summary="Roll back the guidance", response_model=GuidanceOut)
async def rollback(request: Request, mission: str, body: Annotated[RollbackIn, Body()]) -> GuidanceOut:
    """Activates an earlier version. Needs the scope ``admin``."""
    require(request, Scope.ADMIN)
    store, caller, of = guidance_services(request).versions, caller_name(request), mission_named(mission)
    after = await asyncio.to_thread(
        lambda: store.rollback(of, expected=body.expected, by=caller, to=body.to, note=body.note)
    )
    await record(request, Action.GUIDANCE_ROLLED_BACK, mission=of.name, before=body.expected, version=after.digest)
    return guidance_out(after)


def caller_name(request: Request) -> str:
    """The caller in the history of changes: the key's holder and id."""
    return caller_of(request).actor


def guidance_out(one: Guidance) -> GuidanceOut:
    """The wire form of a version."""
    rules = [RuleOut(id=rule.id, text=rule.text, evidence=list(rule.evidence)) for rule in one.rules]
    return GuidanceOut(
        mission=one.mission, version=one.digest, step=one.step, parent=one.parent, focus=one.focus, rules=rules
    )


def _version_out(one: Guidance, stored: tuple[Guidance, ...], current: str) -> VersionOut:
    parent = next((other for other in stored if other.digest == one.parent), None)
    changes = {change.id: [change.before, change.after] for change in diff(parent, one)} if parent else {}
    return VersionOut(
        version=one.digest, step=one.step, parent=one.parent, in_force=one.digest == current, changes=changes
    )
