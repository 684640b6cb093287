"""Judges one ticket: rollouts, evidence, scores, selection, early stop and the release threshold."""
