"""Draws electricity meter boxes with exact labels, in the words of ``inspections/meters``: ``python -m scenes.meters OUT``.

A second industry beside telecom's scenes. It shares their camera, canvas, stage and curves, and nothing of their words.
"""
