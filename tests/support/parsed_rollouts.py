"""Rollouts in one line each."""

from engine.protocol import DecodingParams
from service.judging.rollouts import Rollout, plan, rollout


def rollouts(texts, temperature=0.6) -> list[Rollout]:
    """One rollout per text, candidates numbered in order."""
    grid = [DecodingParams(max_new_tokens=64, temperature=temperature, seed=0)] * len(texts)
    return [rollout(entry, 0, text) for entry, text in zip(plan(grid, 1), texts, strict=True)] if texts else []
