"""Layouts: each puts the things of one kind of photo on a stage."""
