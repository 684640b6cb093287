"""Layouts: each arranges the objects of one kind of photo on a stage."""
