"""Encoded samples for the loading processes, and the lengths of all samples before any image is decoded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from trainer.data.problems import DataError
from trainer.model.collate import Collator
from trainer.model.encode import Encoded, Encoder, TooLong
from trainer.model.packing import BatchSampler, Key
from trainer.training.logs import get_logger
from vqc.errors import VqcError

if TYPE_CHECKING:
    from trainer.data.example import Example, Outline

LOG = get_logger("trainer.samples")


class Samples(Protocol):
    """A data set, such as ``trainer.data.SampleDataset``."""

    def __len__(self) -> int: ...
    def outline(self, index: int) -> Outline: ...  # noqa: D102
    def example(self, record: int, epoch: int) -> Example: ...  # noqa: D102


class SampleFailed(DataError):
    """A sample that cannot be read, said by a loading process: file, line and rule."""

    def __init__(self, text: str) -> None:
        # PyTorch raises it again in the main process, with the whole traceback of the loading process for its text.
        self.problems = ()
        VqcError.__init__(self, text.rpartition(f"{type(self).__name__}: ")[2].strip())


class EncodedSamples(Dataset[Any]):
    """Samples by ``Key``. A sample that augmentation makes longer than the limit is omitted (None) with a warning."""

    def __init__(self, samples: Samples, encoder: Encoder) -> None:
        self._samples = samples
        self._encoder = encoder

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, key: Key) -> Encoded | None:
        try:
            example = self._samples.example(*key)
        except DataError as error:
            raise SampleFailed(str(error)) from None
        try:
            return self._encoder.encode(example)
        except TooLong as error:
            LOG.warning("%s: omitted from epoch %d: %s", example.source, key[1], error)
            return None


class EpochLoader(DataLoader[Any]):
    """A loader whose batches follow the epoch that the training loop announces."""

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch of the next batches."""
        assert isinstance(self.batch_sampler, BatchSampler)
        self.batch_sampler.set_epoch(epoch)

    def close(self) -> None:
        """Ends the loading processes, which a persistent loader keeps between epochs."""
        # PyTorch has no public way. Left alone they live until the garbage collector finds them, and hold every pipe and
        # socket that was open when they were forked.
        iterator, self._iterator = self._iterator, None
        if isinstance(iterator, _MultiProcessingDataLoaderIter):
            iterator._shutdown_workers()


def loader(
    samples: EncodedSamples,
    sampler: BatchSampler,
    collator: Collator,
    *,
    workers: int,
    pin_memory: bool = False,
    prefetch: int | None = None,
    persistent: bool = False,
) -> EpochLoader:
    """The loader of one rank's batches. ``workers`` is the number of loading processes."""
    return EpochLoader(
        samples,
        batch_sampler=sampler,
        collate_fn=collator,
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=(prefetch or 4) if workers else None,
        worker_init_fn=_one_thread,
        persistent_workers=persistent and workers > 0,
    )


def _one_thread(worker: int) -> None:
    """Limits a loading process to one thread: OpenCV would start one per core in every process."""
    if (cv2 := sys.modules.get("cv2")) is not None:
        cv2.setNumThreads(0)


class _Lengths(Dataset[Any]):
    def __init__(self, samples: Samples, encoder: Encoder) -> None:
        self._samples = samples
        self._encoder = encoder

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[int, int, int]:
        try:
            outline = self._samples.outline(index)
        except DataError as error:
            raise SampleFailed(str(error)) from None
        length = self._encoder.length(outline.prompt, outline.sizes_wh, outline.answer)
        return outline.record, length, len(outline.sizes_wh)


def lengths(samples: Samples, encoder: Encoder, *, workers: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, photos) of every record in the data set's current epoch, from image headers and text only; int64."""
    tokens = np.zeros(len(samples), np.int64)
    photos = np.zeros(len(samples), np.int64)
    few = len(samples) < 2000
    batches = DataLoader(_Lengths(samples, encoder), batch_size=256, num_workers=0 if few else workers, collate_fn=list)
    for batch in batches:
        for record, length, count in batch:
            tokens[record], photos[record] = length, count
    return tokens, photos


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The batch on the device, copied asynchronously. Photo grids stay on the host, which loops over them."""
    return {
        key: value.to(device, non_blocking=True) if torch.is_tensor(value) and key != "image_grid_thw" else value
        for key, value in batch.items()
    }
