"""The contract: digests of everything that trainer and service must agree on (law 6).

A checkpoint stores the digests it was trained under; serving it under others would silently cost accuracy.
"""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256

from vqc import grammar, image, prompts, summary, verdict
from vqc.caption import DESC_PATTERN, MAX_OBJECTS, CaptionObject, DenseCaption
from vqc.codec import render
from vqc.geometry import MAX_LINE_POINTS, NORM, Kind, Shape
from vqc.missions import missions

_PROMPT_FIELDS = {"name", "domain", "focus", "requirement"}
"""The fields of a mission that are part of its prompts; key items only judge the answers."""

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


def digest(value: object) -> str:
    """SHA-256 (hex) of a value's canonical JSON: sorted keys, no spaces, UTF-8.

    >>> digest({"a": 1})[:8]
    '015abd7f'
    """
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


@cache
def contract_digests() -> dict[str, str]:
    """The digest of each part of the contract, by name."""
    return {
        "prompts": digest(
            [prompts.catalogue(), [mission.model_dump(include=_PROMPT_FIELDS) for mission in missions().values()]]
        ),
        "caption_codec": digest([render(_SAMPLE), DESC_PATTERN, MAX_OBJECTS, MAX_LINE_POINTS, NORM]),
        "grammar": digest([grammar.CAPTION_GRAMMAR, grammar.SUMMARY_GRAMMAR, grammar.VERDICT_GRAMMAR]),
        "image_policy": digest(image.POLICY),
        "lines": digest([summary.IRRELEVANT, summary.NOTE_PREFIX, verdict.REASON_PREFIX, list(verdict.Verdict)]),
    }


def same_part(trained: str | None, running: str | None) -> bool:
    """Whether a checkpoint's digest of one part is the running one, or an older equivalent of it."""
    return trained == running or (trained is not None and _EQUIVALENT.get(trained) == running)


def prompt_digest(prompt: prompts.Prompt) -> str:
    """SHA-256 (hex) of one rendered prompt, as in responses."""
    return digest([prompt.system, prompt.before, prompt.after])
