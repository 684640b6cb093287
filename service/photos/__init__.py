"""Captions and Stage-A lines of single photos."""
