"""Draws scenes with exact labels, for demo data, sample tickets, load tests and tests; ``meters`` is a second industry."""
