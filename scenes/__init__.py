"""Draws telecom scenes with exact labels, for demo data, sample tickets, load tests and tests."""
