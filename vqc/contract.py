"""The contract: digests of everything that trainer and service must agree on (law 6).

A checkpoint stores the digests it was trained under; serving it under others would silently cost accuracy. A mission that
it has not seen is another matter: it is served, and its verdicts go to a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache

from vqc import grammar, image, prompts, verdict
from vqc.answer_words import CHINESE
from vqc.canonical_json import digest
from vqc.caption import DESC_PATTERN, MAX_OBJECTS, CaptionObject, DenseCaption
from vqc.codec import render
from vqc.geometry import MAX_LINE_POINTS, NORM, Kind, Shape
from vqc.inspection import Inspection
from vqc.missions import ActiveInspections, active, missions

_PROMPT_FIELDS = {"name", "domain", "focus", "requirement"}
"""The fields of a mission that are part of its prompts; key items only judge the answers."""

_PROMPTS = "prompts/"

MANIFEST = "vqc_manifest.json"
"""The file in a checkpoint directory that stores the digests it was trained under, as ``contract``."""

_EQUIVALENT = {  # grammar, 2026-11-24: ADR 0003
    "bb4a866c1ba115a3022e2d6edbc8e6d8e715ae84c1bc2aa39041faebbc307b4a": (
        "0b67c6fe402de9b646aaed453c47419c407c61ba5d28551134cc00469f238804"
    ),
}
"""Digests of parts that were later written differently and accept the same, mapped to the new digest."""

_SAMPLE = DenseCaption(
    (
        CaptionObject(shape=Shape(Kind.BBOX, (1, 2, 3, 4)), desc="BBU设备/华为"),
        CaptionObject(shape=Shape(Kind.QUAD, (9, 9, 5, 5, 7, 3, 11, 7)), desc="标签/5G"),
        CaptionObject(shape=Shape(Kind.LINE, (30, 2, 20, 4, 10, 6)), desc="光纤/有保护措施"),
    )
)


def contract_digests() -> dict[str, str]:
    """The digest of each part of the contract, by name.

    ``prompts/NAME`` are the texts of an active inspection, ``mission/NAME`` what the prompts say of one mission; the other
    parts are the same for all.
    """
    return {**shared_digests(), **_inspection_digests(active())}


def trained_digests(trained_on: Iterable[str]) -> dict[str, str]:
    """The contract of a checkpoint that is trained on these missions alone."""
    unseen = set(map(mission_part, missions())) - set(map(mission_part, trained_on))
    return {part: value for part, value in contract_digests().items() if part not in unseen}


@cache
def shared_digests() -> dict[str, str]:
    """The parts that no inspection changes: spelling, grammars, pixels, fixed words."""
    return {
        "caption_codec": digest([render(_SAMPLE), DESC_PATTERN, MAX_OBJECTS, MAX_LINE_POINTS, NORM]),
        "grammar": digest([grammar.CAPTION_GRAMMAR, grammar.summary_grammar(), grammar.verdict_grammar()]),
        "image_policy": digest(image.POLICY),
        "lines": digest([CHINESE.irrelevant, CHINESE.note_prefix, CHINESE.reason_prefix, list(verdict.Verdict)]),
    }


def mission_digests(mission: str) -> dict[str, str]:
    """The parts that verdicts of one mission depend on: the fixed words and, if it is active, its prompts and definition."""
    owners = [one.name for one in active().inspections if mission in one.missions]
    wanted = {"lines", mission_part(mission), *map(prompts_part, owners)}
    return {part: value for part, value in contract_digests().items() if part in wanted}


def prompts_part(inspection: str) -> str:
    """The name of the part that holds an inspection's prompt texts."""
    return f"{_PROMPTS}{inspection}"


def mission_part(mission: str) -> str:
    """The name of the part that holds what the prompts say of a mission."""
    return f"mission/{mission}"


def current_form(trained: Mapping[str, str | None]) -> dict[str, str | None]:
    """A checkpoint's contract with one part per inspection and mission.

    Before inspections were data, one part ``prompts`` held the texts and missions of the only one. It is replaced by the
    parts that an active inspection remembers for that digest (``history.yaml``); if none does, it stays.
    """
    before = trained.get("prompts")
    for inspection in active().inspections:
        if before in inspection.history:
            others = {part: value for part, value in trained.items() if part != "prompts"}
            return {**others, **inspection.history[before]}
    return dict(trained)


def differing_parts(trained: Mapping[str, str | None]) -> list[str]:
    """The parts in which a checkpoint cannot be served: what it was trained under has changed since.

    An inspection that it has never seen does not count, nor do missions: ``untrained_missions`` names these.
    """
    known = current_form(trained)
    differing = [part for part, value in shared_digests().items() if not same_part(known.get(part), value)]
    # It names no prompts, or only the one part of before, which no active inspection remembers.
    if not any(part.startswith(_PROMPTS) for part in known):
        return [*differing, "prompts"]
    changed = {part for part in contract_digests() if part.startswith(_PROMPTS) and part in known} - _known_texts(known)
    return [*differing, *sorted(changed)]


def untrained_missions(trained: Mapping[str, str | None]) -> frozenset[str]:
    """The active missions that a checkpoint was not trained on, or on another definition or other prompts."""
    known = current_form(trained)
    texts, running = _known_texts(known), contract_digests()
    return frozenset(
        name
        for inspection in active().inspections
        for name in inspection.missions
        if prompts_part(inspection.name) not in texts or known.get(mission_part(name)) != running[mission_part(name)]
    )


def _known_texts(known: Mapping[str, str | None]) -> frozenset[str]:
    """The prompt parts of the active inspections whose texts a checkpoint knows, under whatever inspection's name."""
    seen = {value for part, value in known.items() if part.startswith(_PROMPTS)}
    return frozenset(part for part, value in contract_digests().items() if part.startswith(_PROMPTS) and value in seen)


@lru_cache(maxsize=16)
def _inspection_digests(inspections: ActiveInspections) -> dict[str, str]:
    texts = {prompts_part(one.name): _texts_digest(one) for one in inspections.inspections}
    definitions = {
        mission_part(mission.name): digest(mission.model_dump(include=_PROMPT_FIELDS))
        for mission in inspections.missions.values()
    }
    return texts | definitions


def _texts_digest(inspection: Inspection) -> str:
    """The digest of what the model is asked and answers with. The words of before are a part of their own, ``lines``."""
    texts = inspection.prompts.model_dump()
    return digest(texts if inspection.words == CHINESE else [texts, inspection.words.model_dump()])


def same_part(trained: str | None, running: str | None) -> bool:
    """Whether a checkpoint's digest of one part is the running one, or an older equivalent of it."""
    return trained == running or (trained is not None and _EQUIVALENT.get(trained) == running)


def prompt_digest(prompt: prompts.Prompt) -> str:
    """SHA-256 (hex) of one rendered prompt, as in responses."""
    return digest([prompt.system, prompt.before, prompt.after])
