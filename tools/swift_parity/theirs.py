"""ms-swift's side: its template, its collator, its patched model. Photos are files, as its users pass them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from qwen_vl_utils import vision_process  # type: ignore[import-not-found]  # only .venv-swift has these
from swift.model import get_model_processor  # type: ignore[import-not-found]
from swift.template import get_template  # type: ignore[import-not-found]

from tools.swift_parity.compare import ModelInput
from tools.swift_parity.samples import Case

IGNORED = -100


class MsSwift:
    """A checkpoint in float32 on the CPU, read by ms-swift."""

    def __init__(self, checkpoint: Path) -> None:
        self._model, processor = get_model_processor(
            str(checkpoint), torch_dtype=torch.float32, model_type="qwen3_vl", download_model=False, attn_impl="sdpa"
        )
        self._model.eval()
        self._template = get_template(processor, template_type="qwen3_vl")
        self._template.set_mode("train")
        self._template.model = self._model
        # The class has the ids of Qwen's own vocabulary; the tiny checkpoint has another.
        self._template.image_token_id = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        self._processor = processor.image_processor
        (self.newline,) = processor.tokenizer.encode("\n", add_special_tokens=False)

    @contextmanager
    def limits_of_the_checkpoint(self) -> Iterator[None]:
        """Inside the block photos are resized by the checkpoint's limits, as with MIN_PIXELS and MAX_PIXELS set."""
        area = (self._processor.patch_size * self._processor.merge_size) ** 2
        size = self._processor.size
        usual = vision_process.IMAGE_MIN_TOKEN_NUM, vision_process.IMAGE_MAX_TOKEN_NUM
        vision_process.IMAGE_MIN_TOKEN_NUM = size["shortest_edge"] // area
        vision_process.IMAGE_MAX_TOKEN_NUM = size["longest_edge"] // area
        try:
            yield
        finally:
            vision_process.IMAGE_MIN_TOKEN_NUM, vision_process.IMAGE_MAX_TOKEN_NUM = usual

    def model_input(self, case: Case) -> ModelInput:
        """The sample as the model receives it."""
        encoded = self._encode(case)
        pixels = encoded.get("pixel_values")
        return ModelInput(
            ids=list(encoded["input_ids"]),
            labels=list(encoded["labels"]),
            pixels_NX=np.empty((0, 0), np.float32) if pixels is None else pixels.numpy(),
        )

    @torch.no_grad()
    def loss(self, cases: Sequence[Case], *, newline: bool) -> float:
        """Mean loss per trained token of the samples as one padded batch; without ``newline`` the last token does not count."""
        encoded = [self._encode(case) for case in cases]
        if not newline:
            for sample in encoded:
                sample["labels"][-1] = IGNORED
        batch = self._template.data_collator(encoded)
        batch.pop("text_position_ids", None)  # as its trainer does
        _, batch = self._template.pre_forward_hook(self._model, (), batch)
        return float(self._model(**batch, use_cache=False).loss)

    def _encode(self, case: Case) -> dict[str, Any]:
        prompt, files = case.example.prompt, [str(path) for path in case.files]
        user = prompt.before + "<image>" * len(files) + prompt.after
        turns = (("system", prompt.system), ("user", user), ("assistant", case.example.answer))
        return self._template.encode(
            {"messages": [{"role": role, "content": text} for role, text in turns], "images": files}
        )
