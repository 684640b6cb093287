"""Rollouts in one line each."""

from service.judging.rollouts import Rollout, plan, rollout
from service.platform.generation import Knobs


def rollouts(texts, temperature=0.6) -> list[Rollout]:
    """One rollout per text, candidates numbered in order."""
    grid = [Knobs(max_new_tokens=64, temperature=temperature, seed=0)] * len(texts)
    return [rollout(entry, 0, text) for entry, text in zip(plan(grid, 1), texts, strict=True)] if texts else []
