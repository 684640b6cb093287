"""Encodes one example as token ids, labels and patches, with the checkpoint's own template, tokenizer and image processor.

Law 2: the tokens before the answer equal those of the server for the same prompt and photos, at any photo size. The
labels are exactly the answer and ``<|im_end|>``. Needs neither torchvision nor torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from trainer.model.pixels import GridTHW, PixelSource
from vqc.geometry import SizeWH
from vqc.prompts import Prompt

IGNORED = -100
"""Label of a token that is not trained."""

IMAGE_TOKEN = "<|image_pad|>"
END_TOKEN = "<|im_end|>"


class TooLong(ValueError):
    """A sample over the length limit. ``tokens`` is its length, ``limit`` the limit."""

    def __init__(self, tokens: int, limit: int) -> None:
        self.tokens = tokens
        self.limit = limit
        super().__init__(f"{tokens} tokens, but global_max_length is {limit}; increase it or resize the photos")


class ExampleLike(Protocol):
    """The input of the encoder: a prompt, its canonical RGB photos and the answer to learn."""

    @property
    def prompt(self) -> Prompt: ...  # noqa: D102
    @property
    def images(self) -> Sequence[Image.Image]: ...  # noqa: D102
    @property
    def answer(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One sample. ``levels`` is uint8 levels_N(CP) over all its photos, ``grids`` one (1, rows, columns) per photo."""

    input_ids_T: np.ndarray
    labels_T: np.ndarray
    levels: np.ndarray
    grids: tuple[GridTHW, ...]

    def __len__(self) -> int:
        return len(self.input_ids_T)

    @property
    def positions(self) -> int:
        """Number of supervised positions: those whose next token is trained."""
        return int((self.labels_T[1:] != IGNORED).sum())

    def digest(self) -> str:
        """A digest (hex) of everything that a model sees of the sample and learns from it."""
        content = blake2b(repr(self.grids).encode(), digest_size=20)
        for part in (self.input_ids_T, self.labels_T, self.levels):
            content.update(np.ascontiguousarray(part).tobytes())
        return content.hexdigest()


class Encoder:
    """Encodes examples for one checkpoint.

    ``max_length`` is in tokens; ``truncate`` cuts the end of a longer answer instead of raising.
    """

    def __init__(
        self, tokenizer: Any, image_processor: Any, *, max_length: int | None = None, truncate: bool = False
    ) -> None:
        self.tokenizer = tokenizer
        self.pixels = PixelSource(image_processor)
        self.max_length = max_length
        self.truncate = truncate
        self.image_token: int = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        self.end_token: int = tokenizer.convert_tokens_to_ids(END_TOKEN)
        self.pad_token: int = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_token
        self._template_ids = lru_cache(maxsize=4096)(self._render)

    @classmethod
    def load(cls, directory: str | Path, *, max_length: int | None = None, truncate: bool = False) -> Encoder:
        """The encoder of a checkpoint directory (or a Hugging Face name)."""
        from transformers import AutoTokenizer
        from transformers.models.auto.image_processing_auto import AutoImageProcessor

        return cls(
            AutoTokenizer.from_pretrained(directory),
            AutoImageProcessor.from_pretrained(directory),
            max_length=max_length,
            truncate=truncate,
        )

    def prompt_ids(self, prompt: Prompt, sizes_wh: Sequence[SizeWH]) -> np.ndarray:
        """int32 ids of everything before the answer, with placeholders expanded for photos of these sizes (px)."""
        # The template is tokenized once per prompt, with one placeholder per photo; only the counts differ by photo.
        ids = self._template_ids(prompt, len(sizes_wh))
        counts = np.ones(len(ids), np.int64)
        places = np.flatnonzero(ids == self.image_token)
        if len(places) != len(sizes_wh):
            raise ValueError(f"the chat template made {len(places)} placeholders for {len(sizes_wh)} photos")
        counts[places] = [self.pixels.tokens(size_wh) for size_wh in sizes_wh]
        return np.repeat(ids, counts)

    def answer_ids(self, answer: str) -> np.ndarray:
        """int32 ids of the answer and ``<|im_end|>``."""
        ids = self.tokenizer.backend_tokenizer.encode(answer, add_special_tokens=False).ids
        return np.array([*ids, self.end_token], np.int32)

    def length(self, prompt: Prompt, sizes_wh: Sequence[SizeWH], answer: str) -> int:
        """Number of tokens of the sample, from the sizes of its photos."""
        template = len(self._template_ids(prompt, len(sizes_wh))) - len(sizes_wh)
        return template + sum(map(self.pixels.tokens, sizes_wh)) + len(self.answer_ids(answer))

    def encode(self, example: ExampleLike) -> Encoded:
        """The sample as numpy arrays.

        Raises:
            TooLong: it exceeds ``max_length`` and is not to be truncated, or its prompt alone exceeds it.
        """
        prompt = self.prompt_ids(example.prompt, [image.size for image in example.images])
        answer = self.answer_ids(example.answer)
        total = len(prompt) + len(answer)
        if self.max_length is not None and total > self.max_length:
            if not self.truncate or len(prompt) >= self.max_length:
                raise TooLong(total, self.max_length)
            answer = answer[: self.max_length - len(prompt)]
        made = [self.pixels.levels(image) for image in example.images]
        width = 3 * self.pixels.patch_size**2
        return Encoded(
            input_ids_T=np.concatenate([prompt, answer]),
            labels_T=np.concatenate([np.full(len(prompt), IGNORED, np.int32), answer]),
            levels=np.concatenate([levels for levels, _ in made]) if made else np.empty((0, width), np.uint8),
            grids=tuple(grid for _, grid in made),
        )

    def __getstate__(self) -> dict[str, Any]:  # an lru_cache cannot be pickled; each loading process starts its own
        return {key: value for key, value in self.__dict__.items() if key != "_template_ids"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._template_ids = lru_cache(maxsize=4096)(self._render)

    def _render(self, prompt: Prompt, photos: int) -> np.ndarray:
        text = self.tokenizer.apply_chat_template(
            prompt.messages([IMAGE_TOKEN] * photos), tokenize=False, add_generation_prompt=True
        )
        return np.array(self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids, np.int32)
