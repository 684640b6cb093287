"""Evaluates a model directory: greedy decoding with transformers, in batches with left padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from typing_extensions import override

from trainer.data.images import ImageRef, canonical_pixels
from trainer.evaluation.answers import Answerer, LabelledPhoto, LabelledTicket, batches
from trainer.model.encode import Encoder
from trainer.training.logs import without_loading_bars
from trainer.training.provenance import require_qwen3_vl
from vqc import parser, summary, verdict
from vqc.parser import CaptionOutcome
from vqc.prompts import Prompt, dense_prompt, stage_a_prompt, stage_b_prompt
from vqc.summary import SummaryOutcome
from vqc.verdict import VerdictOutcome

LINE_TOKENS = 512
"""Longest Stage-A line or verdict, tokens."""


PhotoRequest = tuple[Prompt, tuple[Path, ...]]
"""A prompt and its photos."""


class LocalModel(Answerer):
    """A checkpoint directory on this machine's GPU (bfloat16) or CPU (float32)."""

    def __init__(self, directory: Path, *, batch_size: int = 16, max_new_tokens: int = 2048) -> None:
        from transformers import Qwen3VLForConditionalGeneration

        without_loading_bars()
        self.name = str(directory)
        self._batch_size = batch_size
        self._max_new_tokens = max_new_tokens
        self._encoder = Encoder.load(directory)
        cuda = torch.cuda.is_available()
        model: Any = Qwen3VLForConditionalGeneration.from_pretrained(
            require_qwen3_vl(directory), dtype=torch.bfloat16 if cuda else torch.float32
        )
        self._model = model.to("cuda" if cuda else "cpu").eval()

    @override
    def captions(self, photos: Sequence[LabelledPhoto]) -> Iterator[CaptionOutcome]:
        requests = [(dense_prompt(), (photo.path,)) for photo in photos]
        yield from map(parser.parse, self._texts(requests, self._max_new_tokens))

    @override
    def lines(self, photos: Sequence[LabelledPhoto]) -> Iterator[SummaryOutcome]:
        requests = [(stage_a_prompt(photo.mission), (photo.path,)) for photo in photos]
        texts = self._texts(requests, min(LINE_TOKENS, self._max_new_tokens))
        yield from (summary.parse(text, photo.mission.words) for text, photo in zip(texts, photos, strict=True))

    @override
    def verdicts(self, tickets: Sequence[LabelledTicket]) -> Iterator[VerdictOutcome]:
        requests = [(stage_b_prompt(ticket.mission, ticket.summaries), ticket.photos) for ticket in tickets]
        texts = self._texts(requests, min(LINE_TOKENS, self._max_new_tokens))
        yield from (verdict.parse(text, ticket.mission.words) for text, ticket in zip(texts, tickets, strict=True))

    def _texts(self, requests: Sequence[PhotoRequest], max_new_tokens: int) -> Iterator[str]:
        for places in batches(requests, self._batch_size):
            yield from self._batch([requests[place] for place in places], max_new_tokens)

    def _batch(self, requests: Sequence[PhotoRequest], max_new_tokens: int) -> list[str]:
        encoder = self._encoder
        images = [[canonical_pixels(ImageRef(path=path)) for path in paths] for _, paths in requests]
        prompts = [
            encoder.prompt_ids(prompt, [image.size for image in found])
            for (prompt, _), found in zip(requests, images, strict=True)
        ]
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), encoder.pad_token)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.from_numpy(prompt)
            mask[row, longest - len(prompt) :] = 1
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        flat = [image for found in images for image in found]
        if flat:
            inputs |= self._pixels(flat)
            inputs["mm_token_type_ids"] = ((ids == encoder.image_token) & (mask == 1)).int()
        inputs = {key: value.to(self._model.device) for key, value in inputs.items()}
        with torch.inference_mode():
            output = self._model.generate(
                **inputs, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=encoder.pad_token,
                eos_token_id=encoder.end_token,
            )  # fmt: skip
        return encoder.tokenizer.batch_decode(output[:, longest:].tolist(), skip_special_tokens=True)

    def _pixels(self, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
        table_CV = self._encoder.pixels.table_CV
        made = [self._encoder.pixels.levels(image) for image in images]
        levels_NCP = np.concatenate([levels for levels, _ in made]).reshape(-1, 3, self._encoder.pixels.patch_size**2)
        values_NCP = np.stack([table_CV[channel][levels_NCP[:, channel]] for channel in range(3)], axis=1)
        frames = self._encoder.pixels.temporal_patch_size
        values_NCTP = np.repeat(values_NCP[:, :, None], frames, axis=2)
        return {
            "pixel_values": torch.from_numpy(values_NCTP.reshape(len(values_NCTP), -1)),
            "image_grid_thw": torch.tensor([grid for _, grid in made]),
        }
