"""Use case: asks the model how a mission's rules should change, given cases that it judged wrongly or was divided on."""

from __future__ import annotations

from collections.abc import Sequence

from engine.protocol import DecodingParams, Engine, GenerateRequest
from service.guidance.guidance import Guidance
from service.learning.reflection import ReflectionCase, reflection_prompt
from vqc.contract import digest, prompt_digest
from vqc.missions import Mission

PRIORITY = 10
"""The same as for the verdicts of Stage-B."""


class Reflect:
    """Asks one engine for operations on guidance; ``reflection.parse_reflection`` parses the answer."""

    def __init__(self, engine: Engine, decoding: DecodingParams, *, timeout_s: float) -> None:
        self._engine = engine
        self._decoding = decoding
        self._timeout_s = timeout_s

    def key(self, mission: Mission, guidance: Guidance, cases: Sequence[ReflectionCase]) -> str:
        """The digest of everything that the answer depends on: the key of the answer in the journal."""
        # "Knobs" is the name that the keys of stored reflections were made with: an interrupted run finds them by it.
        decoding = repr(self._decoding).replace(type(self._decoding).__name__, "Knobs", 1)
        return digest([prompt_digest(reflection_prompt(mission, guidance, cases)), decoding])

    async def __call__(self, mission: Mission, guidance: Guidance, cases: Sequence[ReflectionCase]) -> str:
        """The text of the answer. Raises ``EngineError``."""
        prompt = reflection_prompt(mission, guidance, cases)
        request = GenerateRequest(
            request_id=f"reflect-{self.key(mission, guidance, cases)[:16]}",
            system=prompt.system,
            user=(prompt.after,),
            decoding=self._decoding,
            priority=PRIORITY,
            timeout_s=self._timeout_s,
        )
        generation = await self._engine.generate(request)
        return generation.completions[0].text
