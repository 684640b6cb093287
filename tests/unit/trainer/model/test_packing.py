import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trainer.model.packing import Batching, BatchSampler, fit_to_count, grouped_plan, packed_plan
from trainer.order import epoch_order

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=200)


def flat(plan):
    return sorted(index for batch in plan for index in batch)


@given(LENGTHS, st.integers(0, 5))
def test_packing_uses_each_sample_once_and_keeps_the_budget(lengths, epoch):
    plan = packed_plan(lengths, 60, epoch_order(1, epoch, len(lengths), "batches"), epoch)
    assert flat(plan) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in batch) <= 60 for batch in plan)


def test_packing_wastes_little():
    rng = random.Random(0)
    lengths = [rng.randint(200, 900) for _ in range(3000)]
    plan = packed_plan(lengths, 8192, epoch_order(1, 0, 3000, "batches"))
    assert len(plan) <= 1.02 * sum(lengths) / 8192 + 1


@given(LENGTHS, st.integers(1, 4))
def test_grouping_uses_each_sample_once(lengths, size):
    plan = grouped_plan(lengths, size, epoch_order(1, 0, len(lengths), "batches"))
    assert flat(plan) == list(range(len(lengths)))
    assert all(len(batch) <= size for batch in plan)


def test_grouping_saves_padding():
    rng = random.Random(0)
    lengths = [rng.randint(10, 1000) for _ in range(400)]
    order = epoch_order(1, 0, 400, "batches")

    def padding(plan):
        return sum(max(lengths[i] for i in batch) * len(batch) for batch in plan) - sum(lengths)

    assert padding(grouped_plan(lengths, 8, order)) < 0.2 * padding([order[i : i + 8] for i in range(0, 400, 8)])


@given(st.lists(st.lists(st.integers(), min_size=1, max_size=9), min_size=1, max_size=9), st.integers(1, 9))
def test_fitting_changes_the_number_only(plan, count):
    indices = flat(plan)
    if len(indices) < count:
        with pytest.raises(ValueError, match="cannot fill"):
            fit_to_count(plan, count)
        return
    made = fit_to_count(plan, count)
    assert len(made) == count
    assert all(made)
    assert flat(made) == indices


@pytest.mark.parametrize("packing", [True, False])
def test_ranks_share_an_epoch_without_overlap(packing):
    rng = random.Random(1)
    lengths = [rng.randint(10, 90) for _ in range(101)]
    batching = Batching(lengths=lengths, size=200 if packing else 4, packing=packing, seed=3)
    for epoch in (0, 1, 7):
        seen = []
        for rank in range(3):
            sampler = BatchSampler(batching, rank=rank, world=3)
            sampler.set_epoch(epoch)
            batches = list(sampler)
            assert len(batches) == len(sampler)
            assert all(key[1] == epoch for batch in batches for key in batch)
            seen += [key[0] for batch in batches for key in batch]
        assert sorted(seen) == list(range(101))


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 8))
def test_any_number_of_samples_is_shared_by_ranks(count, size, world):
    assume(count >= world)
    batching = Batching(lengths=[5] * count, size=size, packing=False, seed=3)
    samplers = [BatchSampler(batching, rank=rank, world=world) for rank in range(world)]
    shares = [list(sampler) for sampler in samplers]
    assert len({len(share) for share in shares}) == 1
    assert sorted(key[0] for share in shares for batch in share for key in batch) == list(range(count))


def test_epochs_differ_and_repeat():
    sampler = BatchSampler(Batching(lengths=[5] * 20, size=4, packing=False, seed=3))
    first = list(sampler)
    sampler.set_epoch(1)
    assert [[i for i, _ in batch] for batch in sampler] != [[i for i, _ in batch] for batch in first]
    sampler.set_epoch(0)
    assert list(sampler) == first
