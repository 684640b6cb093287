"""Use case: ask the model how a mission's rules should change, from cases that it judged wrongly or was divided on."""

from __future__ import annotations

from collections.abc import Sequence

from engine.protocol import Engine, GenerateRequest
from service.guidance.guidance import Guidance
from service.learning.reflection import Case, reflection_prompt
from service.platform.generation import Knobs
from vqc.contract import digest, prompt_digest
from vqc.missions import Mission

PRIORITY = 10
"""As Stage-B's verdicts."""


class Reflect:
    """Asks one engine for operations on guidance; ``reflection.read_proposal`` reads the answer."""

    def __init__(self, engine: Engine, knobs: Knobs, *, timeout_s: float) -> None:
        self._engine = engine
        self._knobs = knobs
        self._timeout_s = timeout_s

    def key(self, mission: Mission, guidance: Guidance, cases: Sequence[Case]) -> str:
        """What the answer depends on, as a digest: equal questions have equal keys."""
        return digest([prompt_digest(reflection_prompt(mission, guidance, cases)), repr(self._knobs)])

    async def __call__(self, mission: Mission, guidance: Guidance, cases: Sequence[Case]) -> str:
        """The answer as written. Raises ``EngineError``."""
        prompt = reflection_prompt(mission, guidance, cases)
        request = GenerateRequest(
            request_id=f"reflect-{self.key(mission, guidance, cases)[:16]}",
            system=prompt.system,
            user=(prompt.after,),
            sampling=self._knobs.sampling(),
            priority=PRIORITY,
            timeout_s=self._timeout_s,
        )
        generation = await self._engine.generate(request)
        return generation.completions[0].text
