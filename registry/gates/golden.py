"""Golden photos of smoke-serve, with the service's prompts and grammars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.protocol import DecodingParams, GenerateRequest
from vqc import parser, summary
from vqc.answer_words import CHINESE, AnswerWords
from vqc.errors import InvalidValue, PhotoRejected
from vqc.grammar import CAPTION_GRAMMAR, summary_grammar
from vqc.image import SUFFIXES, CanonicalPhoto, canonical_photo
from vqc.missions import Mission, missions
from vqc.prompts import Prompt, dense_prompt, stage_a_prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenQuestion:
    """One golden photo with one prompt; ``photo`` is its file name."""

    photo: str
    canonical: CanonicalPhoto
    task: Literal["caption", "stage-a"]
    prompt: Prompt
    words: AnswerWords = CHINESE

    def request(self, request_id: str, max_tokens: int, timeout_s: float, *, constrained: bool) -> GenerateRequest:
        """The greedy engine request, with the service's grammar if ``constrained``."""
        prompt = self.prompt
        grammar = CAPTION_GRAMMAR if self.task == "caption" else summary_grammar(self.words)
        return GenerateRequest(
            request_id=request_id,
            system=prompt.system,
            user=prompt.parts([self.canonical]),
            decoding=DecodingParams(max_new_tokens=max_tokens),
            grammar=grammar if constrained else None,
            timeout_s=timeout_s,
        )

    def readable(self, text: str) -> bool:
        """Whether the service's parser can read this answer."""
        outcome = parser.parse(text) if self.task == "caption" else summary.parse(text, self.words)
        return outcome.status is not parser.Status.MALFORMED


def golden_questions(photos: Path, mission: Mission | None = None) -> list[GoldenQuestion]:
    """A caption and a Stage-A question (of ``mission``, else of the first one) for every photo in a directory, sorted by name.

    Raises:
        InvalidValue: no photo in the directory.
        PhotoRejected: an unusable photo.
    """
    mission = mission or next(iter(missions().values()))
    paths = sorted(path for path in photos.glob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InvalidValue("photos", str(photos), "must be a directory with photos")
    questions: list[GoldenQuestion] = []
    for path in paths:
        try:
            canonical = canonical_photo(path.read_bytes())
        except PhotoRejected as error:
            raise PhotoRejected(error.reason, error.value, error.valid, field=str(path)) from error
        questions += [
            GoldenQuestion(photo=path.name, canonical=canonical, task="caption", prompt=dense_prompt()),
            GoldenQuestion(
                photo=path.name,
                canonical=canonical,
                task="stage-a",
                prompt=stage_a_prompt(mission),
                words=mission.words,
            ),
        ]
    return questions
