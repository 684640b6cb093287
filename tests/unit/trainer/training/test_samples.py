"""A sample that cannot be read is named, whichever process reads it."""

from typing import Any

import pytest
from torch.utils.data import DataLoader

from trainer.data import DataError
from trainer.data.problems import RecordProblem, RecordRule
from trainer.training.samples import EncodedSamples, lengths

BROKEN = RecordProblem(source="a.jsonl:3", rule=RecordRule.IMAGE_UNREADABLE, message="broken.jpg: cut off\nhalfway")


class BrokenSamples:
    def __len__(self) -> int:
        return 2000  # from which on lengths are read by several processes

    def outline(self, index: int) -> Any:
        raise DataError([BROKEN])

    def example(self, record: int, epoch: int) -> Any:
        raise DataError([BROKEN])


@pytest.mark.parametrize("workers", [0, 1])
def test_the_error_of_a_loading_process_is_the_sentence_alone(workers: int) -> None:
    samples: Any = EncodedSamples(BrokenSamples(), encoder=None)  # type: ignore[arg-type]
    batches = DataLoader(samples, batch_size=None, sampler=[(0, 0)], num_workers=workers)
    with pytest.raises(DataError) as caught:
        next(iter(batches))
    assert str(caught.value) == str(BROKEN)


@pytest.mark.parametrize("workers", [0, 1])
def test_so_is_the_error_of_a_process_that_reads_lengths(workers: int) -> None:
    with pytest.raises(DataError) as caught:
        lengths(BrokenSamples(), encoder=None, workers=workers)  # type: ignore[arg-type]
    assert str(caught.value) == str(BROKEN)
