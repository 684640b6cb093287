"""Deliveries of webhooks: one for each finished run of a ticket that names a webhook. The port of their store, and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from typing_extensions import override

from service.platform.errors import UnknownDelivery


class DeliveryState(StrEnum):
    """How a delivery stands."""

    RETRYING = "retrying"
    """The last attempt failed, and another one follows."""
    DELIVERED = "delivered"
    FAILED = "failed"
    """Every attempt failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """``id`` is the webhook-id that the receiver sees; ``problem`` says why the last attempt failed."""

    id: str
    ticket: str
    host: str
    state: DeliveryState
    attempts: int
    at: datetime
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """Some deliveries, newest first. ``after`` continues behind them; None on the last page."""

    deliveries: tuple[Delivery, ...]
    after: str | None


class DeliveryStore(Protocol):
    """Stores deliveries as long as their tickets. Every call raises ``QueueUnavailable`` when the store does not answer."""

    async def save(self, delivery: Delivery) -> None:
        """Stores a delivery, in place of the one with the same id."""
        ...

    async def get(self, id: str) -> Delivery:
        """The delivery. Raises ``UnknownDelivery``."""
        ...

    async def page(self, state: DeliveryState | None, *, after: str | None, limit: int) -> DeliveryPage:
        """A page of those in a state, or of all."""
        ...


class MemoryDeliveries(DeliveryStore):
    """Deliveries in memory, for tests."""

    def __init__(self) -> None:
        self._deliveries: dict[str, Delivery] = {}

    @override
    async def save(self, delivery: Delivery) -> None:
        self._deliveries[delivery.id] = delivery

    @override
    async def get(self, id: str) -> Delivery:
        if id not in self._deliveries:
            raise UnknownDelivery(id)
        return self._deliveries[id]

    @override
    async def page(self, state: DeliveryState | None, *, after: str | None, limit: int) -> DeliveryPage:
        newest_first = [self._deliveries[id] for id in sorted(self._deliveries, reverse=True)]
        return delivery_page(
            [one for one in newest_first if state in (None, one.state) and (after is None or one.id < after)], limit
        )


def delivery_page(found: Sequence[Delivery], limit: int) -> DeliveryPage:
    """The first ``limit`` of the deliveries that were found, of which there may be more."""
    return DeliveryPage(deliveries=tuple(found[:limit]), after=found[limit - 1].id if len(found) > limit else None)
