"""Checks on real samples before training. They find errors that would otherwise end in a model that learned nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.model.collate import ModelFacts
from trainer.model.encode import IGNORED, Encoded, Encoder, ExampleLike, TooLong
from trainer.model.positions import rope_positions
from trainer.model.towers import Tower, tower_of
from trainer.model.tuners import is_adapter
from trainer.training.errors import UnhealthyRun
from vqc import parser

if TYPE_CHECKING:
    from trainer.config import TrainConfig
    from trainer.training.samples import Samples

CHECKED_SAMPLES = 32
"""Number of samples that are encoded for the checks."""


def usable_records(tokens: np.ndarray, config: TrainConfig, samples: Samples) -> list[int]:
    """The records to train on: all, or with ``truncation_strategy: delete`` those within the length limit.

    Raises:
        UnhealthyRun: samples exceed the limit under ``truncation_strategy: raise``, or no record is left.
    """
    limit, strategy = config.max_length, config.template.truncation_strategy
    over = np.flatnonzero(tokens > limit)
    if len(over) and strategy == "raise":
        worst = int(tokens.argmax())
        source = samples.example(worst, 0).source
        raise UnhealthyRun(
            [
                f"{len(over)} of {len(tokens)} samples are longer than global_max_length {limit}; the longest, {source}, "
                f"has {tokens[worst]} tokens. Increase global_max_length, or set template.truncation_strategy to delete"
            ]
        )
    kept = np.flatnonzero(tokens <= limit) if strategy == "delete" else np.arange(len(tokens))
    if not len(kept):
        raise UnhealthyRun([f"no sample is within global_max_length {limit}; the shortest has {tokens.min()} tokens"])
    return kept.tolist()


def check_samples(samples: Samples, encoder: Encoder, facts: ModelFacts, records: Sequence[int]) -> None:
    """Checks the encoding of some of these records.

    Raises:
        UnhealthyRun: one sentence per problem, each naming its record.
    """
    chosen = random.Random(0).sample(list(records), min(CHECKED_SAMPLES, len(records)))
    problems: list[str] = []
    for record in chosen:
        example = samples.example(record, 0)
        problems += [f"{example.source}: {problem}" for problem in sample_problems(example, encoder, facts)]
    if problems:
        raise UnhealthyRun(problems)


def sample_problems(example: ExampleLike, encoder: Encoder, facts: ModelFacts) -> Iterator[str]:
    """The problems of one sample, as sentences."""
    if facts.image_token != encoder.image_token:
        yield f"the tokenizer's <|image_pad|> is {encoder.image_token}, but in the model's config {facts.image_token}"
    try:
        encoded = encoder.encode(example)
    except TooLong as error:
        yield str(error)
        return
    yield from encoding_problems(encoded, facts)
    if not encoder.truncate:
        wanted = encoder.answer_ids(example.answer)
        if not np.array_equal(encoded.labels_T[encoded.labels_T != IGNORED], wanted):
            yield "the labels are not exactly the answer and <|im_end|>"
    if str(getattr(example, "task", "")) == "dense":
        outcome = parser.parse(example.answer)
        if outcome.status is not parser.Status.PARSED:
            notes = "; ".join(outcome.notes)
            yield f"the answer is not a dense caption with coordinates 0..1000 in reading order: {notes}"


def encoding_problems(encoded: Encoded, facts: ModelFacts) -> Iterator[str]:
    """The problems of one sample's tensors, as sentences."""
    try:
        rope_positions(encoded.input_ids_T, encoded.grids, facts.image_token, facts.merge_size)
    except (ValueError, StopIteration) as error:
        yield str(error)
    patches = sum(frames * rows * columns for frames, rows, columns in encoded.grids)
    if patches != len(encoded.levels):
        yield f"image_grid_thw has {patches} patches, the pixels have {len(encoded.levels)}"
    trained = encoded.labels_T != IGNORED
    if not trained.any():
        yield "no token is trained: the labels are all masked"
    if (encoded.labels_T[trained] == facts.image_token).any():
        yield "image placeholders are among the labels"
    if (encoded.labels_T[trained] != encoded.input_ids_T[trained]).any():
        yield "a label differs from its own token"


def check_model(model: Any, config: TrainConfig, *, photos: int) -> None:
    """Checks that what the tuner section asks for is what would be trained and saved.

    ``photos`` is the number of photos of the training data.

    Raises:
        UnhealthyRun: an adapter is missing, a module to save is not trained, or vision towers would be trained without a
            single photo.
    """
    problems: list[str] = []
    tuner = config.tuner
    if tuner.tuner_type != "full" and not is_adapter(model) and not tuner.modules_to_save:
        problems.append("the model has no adapter; trainer.model.tuners.apply_tuner must run first")
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not photos and any(tower_of(name) is not Tower.LLM for name in trained):
        problems.append(
            "vision encoder or aligner would be trained, but no record has a photo; in chat records an image is written as "
            '{"type": "image", "image": …}'
        )
    problems += [
        f"{module!r} of modules_to_save has no trainable parameter"
        for module in tuner.modules_to_save
        if not any(f"{module}." in name for name in trained)
    ]
    if problems:
        raise UnhealthyRun(problems)
