"""Greedy answers of transformers, in a process of its own, whose memory is free again before the engine needs it.

    python -m registry.gates.reference JOB RESULT

JOB and RESULT are JSON files: a ``ReferenceJob`` and a list of ``ReferenceAnswer``. The only module of the registry
that imports torch and transformers.
"""

from __future__ import annotations

import json
import sys
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from vqc.image import canonical_pixels
from vqc.prompts import Prompt

if TYPE_CHECKING:
    import torch

BROKEN = 1e6
"""The gap, in nats, of an answer that has no finite likelihood under transformers or cannot be compared."""

HIDDEN = 0.25
"""The largest share of a truncated answer's tokens that its text may lack: truncated characters, other tokenizations."""


class ReferenceQuestion(TypedDict):
    """One question and the engine's answer: ``finished`` unless it was truncated at ``max_new_tokens``."""

    image: str
    system: str
    before: str
    after: str
    engine_text: str
    finished: bool


class ReferenceJob(TypedDict):
    """``dtype`` is a torch dtype name, or auto for the checkpoint's own; ``device`` is cpu or cuda."""

    model: str
    device: str
    dtype: str
    max_new_tokens: int
    questions: list[ReferenceQuestion]


class ReferenceAnswer(TypedDict):
    """transformers' own answer, and the distance of the engine's answer from it.

    ``worst_gap`` is the largest difference, in nats, between the likeliest token and the engine's, given the same tokens
    before: 0 for equal answers, tiny for a near tie, large for another model, ``BROKEN`` if they cannot be compared.
    """

    text: str
    worst_gap: float


def answer_questions(job: ReferenceJob) -> list[ReferenceAnswer]:
    """transformers' answer to each question, in order."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor: Any = AutoProcessor.from_pretrained(job["model"])
    dtype = job["dtype"] if job["dtype"] == "auto" else getattr(torch, job["dtype"])
    model: Any = AutoModelForImageTextToText.from_pretrained(job["model"], dtype=dtype)
    model = model.to(job["device"]).eval()
    scored: list[ReferenceAnswer] = []
    for question in job["questions"]:
        prompt = Prompt(system=question["system"], before=question["before"], after=question["after"])
        inputs = processor.apply_chat_template(
            prompt.messages([canonical_pixels(Path(question["image"]).read_bytes())]),
            tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True,
        ).to(model.device)  # fmt: skip
        with torch.inference_mode():
            text = _greedy(model, processor.tokenizer, inputs, job["max_new_tokens"])
            same = text == comparable(question["engine_text"])
            gap = 0.0 if same else _worst_gap(model, processor.tokenizer, inputs, question, job["max_new_tokens"])
        scored.append(ReferenceAnswer(text=text, worst_gap=gap))
    return scored


def comparable(text: str) -> str:
    """The text without a trailing character that was truncated in the middle of its bytes.

    >>> comparable("标签\\ufffd")
    '标签'
    """
    return text.rstrip("\ufffd")


def _greedy(model: Any, tokenizer: Any, inputs: Any, max_new_tokens: int) -> str:
    output = model.generate(
        **inputs, max_new_tokens=max_new_tokens, do_sample=False, repetition_penalty=1.0,
        temperature=None, top_p=None, top_k=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    answer = output[0, inputs["input_ids"].shape[1] :]
    return comparable(tokenizer.decode(answer, skip_special_tokens=True))


def _worst_gap(model: Any, tokenizer: Any, inputs: Any, question: ReferenceQuestion, max_new_tokens: int) -> float:
    """The largest gap over the engine's tokens, or ``BROKEN`` if its text hides some of them.

    The last token of a truncated answer is ignored, because its text may tokenize differently. A truncated answer has
    ``max_new_tokens`` tokens; a text with far fewer hides some: special tokens, or bytes that are not characters.
    """
    import torch

    ids = tokenizer(comparable(question["engine_text"]), add_special_tokens=False)["input_ids"]
    if not question["finished"] and len(ids) < (1 - HIDDEN) * max_new_tokens:
        return BROKEN
    ids = [*ids, tokenizer.eos_token_id] if question["finished"] else ids[:-1]
    answer_1T = torch.tensor([ids], device=model.device)
    # Teacher forcing: one pass over prompt and answer scores every token of the engine's with its own prefix.
    forced: dict[str, Any] = dict(inputs)
    forced["input_ids"] = torch.cat([inputs["input_ids"], answer_1T], dim=1)
    forced["attention_mask"] = torch.ones_like(forced["input_ids"])
    if "mm_token_type_ids" in inputs:
        kinds = inputs["mm_token_type_ids"]
        forced["mm_token_type_ids"] = torch.cat([kinds, kinds.new_zeros(1, len(ids))], dim=1)
    logits_TV = model(**forced, use_cache=False, logits_to_keep=len(ids) + 1).logits[0, :-1].float()
    gap = _gaps(logits_TV, answer_1T[0]).max().item()
    return gap if isfinite(gap) else BROKEN


def _gaps(logits_TV: torch.Tensor, chosen_T: torch.Tensor) -> torch.Tensor:
    """gaps_T: how much likelier, in nats, the likeliest token is than the chosen one."""
    return logits_TV.max(dim=-1).values - logits_TV.gather(-1, chosen_T[:, None])[:, 0]


if __name__ == "__main__":
    result = answer_questions(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(result, ensure_ascii=False), "utf-8")
