from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.protocol import DecodingParams
from engine.scripted import ScriptedEngine
from service.guidance.guidance import first_version
from service.judging.rollouts import plan
from service.judging.sampler import EvidenceKind, Sampler
from service.learning.reflect import Reflect
from service.learning.reflection import reflection_prompt
from vqc.contract import digest, prompt_digest
from vqc.errors import InvalidValue
from vqc.missions import mission_named

DECODING = st.builds(
    DecodingParams,
    max_new_tokens=st.just(64),
    temperature=st.sampled_from([0.0, 0.2, 0.9]),
    seed=st.none() | st.integers(0, 40),
)


@given(st.lists(DECODING, min_size=1, max_size=8), st.integers(1, 8), st.integers(0, 40))
def test_no_two_candidates_share_a_seed_and_indices_run_through(grid, samples, seed):
    entries = plan(grid, samples, seed)
    bases = [entry.decoding.seed for entry in entries]
    assert all(abs(a - b) >= samples for a, b in combinations(bases, 2))
    indices = [index for entry in entries for index in entry.candidates]
    assert indices == list(range(len(indices)))
    assert [entry.decoding.temperature for entry in entries] == [decoding.temperature for decoding in grid]


def test_a_greedy_entry_has_one_sample():
    greedy, drawn = plan([DecodingParams(max_new_tokens=64), DecodingParams(max_new_tokens=64, temperature=1.0)], 4)
    assert (greedy.n, drawn.n) == (1, 4)
    assert drawn.first_candidate == 1


@pytest.mark.parametrize(
    ("grid", "samples"), [([], 1), ([DecodingParams(max_new_tokens=1)], 0), ([DecodingParams(max_new_tokens=1)], 65)]
)
def test_an_empty_plan_is_rejected(grid, samples):
    with pytest.raises(InvalidValue, match="sampler"):
        plan(grid, samples)


def test_the_digests_of_samplers_that_were_stored_before_stay_the_same():
    grid = [DecodingParams(max_new_tokens=64, temperature=t, seed=s) for t, s in ((0.2, 42), (0.6, 43), (0.0, None))]
    sampler = Sampler(waves=plan(grid, 4), adaptive=0.95, evidence=EvidenceKind.BOTH)
    assert sampler.digest == "0e5583678421854333bc1ce067e8bda59ef9e58300e295c3790e4de55c90bcac"


def test_the_keys_of_reflections_that_were_stored_before_stay_the_same():
    mission = mission_named("挡风板安装检查")
    reflect = Reflect(ScriptedEngine(), DecodingParams(max_new_tokens=200), timeout_s=120)
    prompt = prompt_digest(reflection_prompt(mission, first_version(mission), []))
    old = "Knobs(max_new_tokens=200, temperature=0.0, top_p=1.0, repetition_penalty=1.0, seed=None)"
    assert reflect.key(mission, first_version(mission), []) == digest([prompt, old])
