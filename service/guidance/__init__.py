"""Guidance of the missions: versions, edits, proposals and their approval."""
