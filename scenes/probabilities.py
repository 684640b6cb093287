"""The check of rates at which defects occur."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_probabilities(rates: DataclassInstance) -> None:
    """Raises ``ValueError`` for a field that is not in 0..1."""
    for field in fields(rates):
        if not 0 <= getattr(rates, field.name) <= 1:
            raise ValueError(f"{field.name} must be a probability, not {getattr(rates, field.name)!r}")
