from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.judging.rollouts import plan
from service.platform.generation import Knobs
from vqc.errors import InvalidValue

KNOBS = st.builds(
    Knobs,
    max_new_tokens=st.just(64),
    temperature=st.sampled_from([0.0, 0.2, 0.9]),
    seed=st.none() | st.integers(0, 40),
)


@given(st.lists(KNOBS, min_size=1, max_size=8), st.integers(1, 8), st.integers(0, 40))
def test_no_two_candidates_share_a_seed_and_indices_run_through(grid, samples, seed):
    entries = plan(grid, samples, seed)
    bases = [entry.knobs.seed for entry in entries]
    assert all(abs(a - b) >= samples for a, b in combinations(bases, 2))
    indices = [index for entry in entries for index in entry.candidates]
    assert indices == list(range(len(indices)))
    assert [entry.knobs.temperature for entry in entries] == [knobs.temperature for knobs in grid]


def test_a_greedy_entry_has_one_sample():
    greedy, drawn = plan([Knobs(max_new_tokens=64), Knobs(max_new_tokens=64, temperature=1.0)], 4)
    assert (greedy.sampling.n, drawn.sampling.n) == (1, 4)
    assert drawn.first_candidate == 1


@pytest.mark.parametrize(
    ("grid", "samples"), [([], 1), ([Knobs(max_new_tokens=1)], 0), ([Knobs(max_new_tokens=1)], 65)]
)
def test_an_empty_plan_is_refused(grid, samples):
    with pytest.raises(InvalidValue, match="sampler"):
        plan(grid, samples)
