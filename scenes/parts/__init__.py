"""Painters: each draws one thing on a canvas, all of its parameters given."""
