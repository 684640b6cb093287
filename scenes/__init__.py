"""Draws telecom scenes with exact labels: demo data, sample tickets, load and tests."""
