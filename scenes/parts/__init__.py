"""Painters: each draws one object on a canvas from explicit parameters."""
