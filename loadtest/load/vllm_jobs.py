"""The same requests sent to vLLM directly: our prompts, our grammar, photos in base64."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256

from typing_extensions import override

from engine.protocol import DecodingParams, GenerateRequest
from engine.wire import chat_body
from loadtest.http.connection import Reply
from loadtest.load.job import LoadJob, Reading, describe_rejection, server_sent_events
from loadtest.load.scenario import CaptionLoad, Load, StageALoad, StageBLoad
from vqc import parser, summary, verdict
from vqc.grammar import CAPTION_GRAMMAR, summary_grammar, verdict_grammar
from vqc.image import EncodedPhoto
from vqc.missions import mission_named
from vqc.parser import CaptionOutcome, CaptionReader, Status
from vqc.prompts import Prompt, dense_prompt, stage_a_prompt, stage_b_prompt
from vqc.summary import SummaryOutcome
from vqc.verdict import VerdictOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmJob(LoadJob[Load]):
    """``POST /v1/chat/completions``. A Stage-A request has one photo; a Stage-B request samples verdicts of one ticket.

    Without ``constrained`` there is no grammar, and the texts are not parsed.
    """

    model: str
    constrained: bool = True

    @override
    def request(self, n: int) -> bytes:
        body = chat_body(self.generation(n), self.model, stream=self._is_streamed)
        return self.target.post_bytes("/v1/chat/completions", body)

    def generation(self, n: int) -> GenerateRequest:
        """Request ``n`` as the engine client's value."""
        load = self.load
        prompt, photos, answers = self._prompt(n), self._photos(n), 1
        decoding = DecodingParams(max_new_tokens=load.max_new_tokens)
        if isinstance(load, StageBLoad):
            decoding, answers = replace(decoding, temperature=0.6, top_p=0.95, seed=142), load.samples
        images = [
            EncodedPhoto(data=photo, media_type="image/jpeg", digest=sha256(photo).hexdigest()) for photo in photos
        ]
        return GenerateRequest(
            request_id=f"{self.payloads.run}-{n}",
            system=prompt.system,
            user=prompt.parts(images),
            decoding=decoding,
            n=answers,
            grammar=self._format[0] if self.constrained else None,
        )

    @override
    def read(self, replies: Sequence[Reply]) -> Reading:
        (reply,) = replies
        if reply.status != 200:
            return Reading(problem=describe_rejection(reply))
        if self._is_streamed:
            return _read_stream(reply)
        answer = json.loads(reply.body)
        texts = [choice["message"]["content"] or "" for choice in answer["choices"]]
        tokens = answer["usage"]["completion_tokens"] or 0
        if not self.constrained:
            return Reading(completion_tokens=tokens)
        _, read = self._format
        unread = [text for text in texts if read(text).status is Status.MALFORMED]
        problem = f"not readable: {unread[0][:200]!r}" if unread else None
        return Reading(problem=problem, malformed=bool(unread), completion_tokens=tokens)

    @property
    def _format(self) -> tuple[str, Callable[[str], CaptionOutcome | SummaryOutcome | VerdictOutcome]]:
        """The grammar of the answers, and what reads them."""
        if isinstance(self.load, CaptionLoad):
            return CAPTION_GRAMMAR, parser.parse
        words = mission_named(self.load.mission).words
        if isinstance(self.load, StageALoad):
            return summary_grammar(words), partial(summary.parse, words=words)
        return verdict_grammar(words), partial(verdict.parse, words=words)

    @property
    def _is_streamed(self) -> bool:
        return isinstance(self.load, CaptionLoad) and self.load.body == "sse"

    def _prompt(self, n: int) -> Prompt:
        match self.load:
            case CaptionLoad():
                return dense_prompt()
            case StageALoad():
                return stage_a_prompt(mission_named(self.load.mission))
            case StageBLoad():
                mission, has_lines = mission_named(self.load.mission), self.load.evidence != "images"
                return stage_b_prompt(mission, self.payloads.lines_of(n, self.load.photos) if has_lines else ())

    def _photos(self, n: int) -> list[bytes]:
        if isinstance(self.load, StageBLoad):
            return [] if self.load.evidence == "summaries" else self.payloads.photos(n, self.load.photos)
        return self.payloads.photos(n, 1)


def _read_stream(reply: Reply) -> Reading:
    reader, first_at, tokens = CaptionReader(), None, 0
    for _, data, end in server_sent_events(reply.body):
        tokens = (data.get("usage") or {}).get("completion_tokens", tokens)
        for choice in data.get("choices", []):
            if reader.feed(choice["delta"].get("content") or "") and first_at is None:
                first_at = reply.time_of_byte(end)
    outcome = reader.outcome()
    malformed = outcome.status is Status.MALFORMED
    problem = "; ".join(outcome.notes) if malformed else None
    return Reading(problem=problem, malformed=malformed, first_object_at=first_at, completion_tokens=tokens)
