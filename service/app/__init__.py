"""Puts the capabilities together: wiring from settings, the HTTP application, its OpenAPI document."""
