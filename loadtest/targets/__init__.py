"""Servers to measure: our API, our service, raw vLLM, a stub engine; and checkpoints without weights."""
