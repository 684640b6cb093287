"""The filters of the review queue, as the query of a page's address."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator

from service.tickets.review import ReviewFacet, Risk
from service.tickets.review_queue import Order, ReviewQuery

AGES = {"1h": timedelta(hours=1), "8h": timedelta(hours=8), "1d": timedelta(days=1), "3d": timedelta(days=3)}
"""The choices of the age filter."""
Age = Literal["1h", "8h", "1d", "3d"]


class QueueFilters(BaseModel):
    """The query of the queue, and of a ticket that was opened from it. An empty value counts as absent.

    ``after`` is the start of a page of the queue; ``decided`` is the ticket that was decided just before.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    mission: str | None = None
    model: str | None = None
    risk: Risk | None = None
    older: Age | None = None
    order: Order = "risk"
    after: str | None = Field(None, pattern="^([a-z]+[.])?[0-9a-f]{1,64}$")
    decided: str | None = Field(None, pattern="^[0-9a-f]{1,64}$")

    @field_validator("mission", "model", "risk", "older", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @property
    def review_query(self) -> ReviewQuery:
        """The query to the store."""
        facet = ReviewFacet(mission=self.mission, model=self.model, risk=self.risk)
        return ReviewQuery(facet=facet, older=AGES[self.older] if self.older else None, order=self.order)

    def query(self, **changes: str | None) -> str:
        """The query string of another page with these filters, with its ``?``; empty without filters.

        >>> QueueFilters(mission="RRU线缆", order="age").query(mission=None, after="9")
        '?order=age&after=9'
        """
        values = self.model_dump(mode="json", exclude_defaults=True, exclude={"after", "decided"}) | changes
        given = {name: value for name, value in values.items() if value}
        return f"?{urlencode(given)}" if given else ""
