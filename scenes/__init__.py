"""Draws scenes with exact labels, for demo data, sample tickets, load tests and tests: telecom here, meter boxes in ``meters``."""
