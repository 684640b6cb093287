"""transformers' greedy answers, in a process of its own: its memory is free again when the engine's is needed, and back.

    python -m registry.gates.reference JOB RESULT

JOB and RESULT are JSON files; their shapes are ``Job`` and a list of ``Scored``. The only place of the registry that loads
torch and transformers.
"""

from __future__ import annotations

import json
import sys
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from vqc.prompts import Prompt

if TYPE_CHECKING:
    import torch

BROKEN = 1e6
"""The gap, in nats, of an answer that transformers gives no finite likelihood, or that cannot be compared."""

HIDDEN = 0.25
"""Most of a cut answer's tokens, as a share, that its text need not show: characters that were cut, other spellings."""


class Asked(TypedDict):
    """One question and what the engine answered: ``finished`` unless it was cut at ``max_new_tokens``."""

    image: str
    system: str
    before: str
    after: str
    engine_text: str
    finished: bool


class Job(TypedDict):
    """``dtype`` is torch's name of one, or auto for the checkpoint's own; ``device`` is cpu or cuda."""

    model: str
    device: str
    dtype: str
    max_new_tokens: int
    asked: list[Asked]


class Scored(TypedDict):
    """transformers' own answer, and how far the engine's is from it.

    ``worst_gap`` is the largest difference, in nats, between the likeliest token and the engine's where both have read the
    same tokens before: 0 for equal answers, tiny for a near tie, large for another model, ``BROKEN`` where nothing can be said.
    """

    text: str
    worst_gap: float


def answered(job: Job) -> list[Scored]:
    """An answer to each question, in order."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor: Any = AutoProcessor.from_pretrained(job["model"])
    dtype = job["dtype"] if job["dtype"] == "auto" else getattr(torch, job["dtype"])
    model: Any = AutoModelForImageTextToText.from_pretrained(job["model"], dtype=dtype)
    model = model.to(job["device"]).eval()
    scored: list[Scored] = []
    for asked in job["asked"]:
        prompt = Prompt(system=asked["system"], before=asked["before"], after=asked["after"])
        with Image.open(asked["image"]) as image:
            inputs = processor.apply_chat_template(
                prompt.messages([image.convert("RGB")]),
                tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True,
            ).to(model.device)  # fmt: skip
        with torch.inference_mode():
            text = _greedy(model, processor.tokenizer, inputs, job["max_new_tokens"])
            same = text == comparable(asked["engine_text"])
            gap = 0.0 if same else _worst_gap(model, processor.tokenizer, inputs, asked, job["max_new_tokens"])
        scored.append(Scored(text=text, worst_gap=gap))
    return scored


def comparable(text: str) -> str:
    """The text without a character that was cut in the middle of its bytes.

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


def _worst_gap(model: Any, tokenizer: Any, inputs: Any, asked: Asked, max_new_tokens: int) -> float:
    """The largest gap over the engine's tokens, ``BROKEN`` where its text does not show them.

    A cut answer's last token may be spelled otherwise and does not count. It was cut, so there were
    ``max_new_tokens`` of them; a text with far fewer hides some: special tokens, or bytes that are no characters.
    """
    import torch

    ids = tokenizer(comparable(asked["engine_text"]), add_special_tokens=False)["input_ids"]
    if not asked["finished"] and len(ids) < (1 - HIDDEN) * max_new_tokens:
        return BROKEN
    ids = [*ids, tokenizer.eos_token_id] if asked["finished"] else ids[:-1]
    answer_1T = torch.tensor([ids], device=model.device)
    fed: dict[str, Any] = dict(inputs)
    fed["input_ids"] = torch.cat([inputs["input_ids"], answer_1T], dim=1)
    fed["attention_mask"] = torch.ones_like(fed["input_ids"])
    if "mm_token_type_ids" in inputs:
        kinds = inputs["mm_token_type_ids"]
        fed["mm_token_type_ids"] = torch.cat([kinds, kinds.new_zeros(1, len(ids))], dim=1)
    logits_TV = model(**fed, use_cache=False, logits_to_keep=len(ids) + 1).logits[0, :-1].float()
    gap = _gaps(logits_TV, answer_1T[0]).max().item()
    return gap if isfinite(gap) else BROKEN


def _gaps(logits_TV: torch.Tensor, chosen_T: torch.Tensor) -> torch.Tensor:
    """gaps_T: how much likelier, in nats, the likeliest token is than the chosen one."""
    return logits_TV.max(dim=-1).values - logits_TV.gather(-1, chosen_T[:, None])[:, 0]


if __name__ == "__main__":
    result = answered(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(result, ensure_ascii=False), "utf-8")
