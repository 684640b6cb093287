"""What the pages about tickets share: who may look, and which tickets a person wants, as the address of a page says it."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.requests import Request

from service.platform.errors import Forbidden
from service.tickets.review import Risk, Shelf
from service.tickets.review_queue import Order, Wanted
from service.web.auth import Scope, caller_of

LOOKERS = frozenset({Scope.STAGE_B, Scope.REVIEW})
"""Scopes of which one is enough to look at tickets."""
AGES = {"1h": timedelta(hours=1), "8h": timedelta(hours=8), "1d": timedelta(days=1), "3d": timedelta(days=3)}
"""The filters by age."""
Age = Literal["1h", "8h", "1d", "3d"]


def require_look(request: Request) -> None:
    """Raises ``Forbidden`` unless the caller may look at tickets."""
    if not LOOKERS & caller_of(request).scopes:
        raise Forbidden("this page needs a key with the scope 'stage-b' or 'review'")


class Filters(BaseModel):
    """The query of the queue and of a ticket that was reached from it; an empty value is none.

    ``after`` is where a page of the queue begins, ``decided`` the ticket that was decided just before.
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
    def wanted(self) -> Wanted:
        """What the queue is asked for."""
        shelf = Shelf(mission=self.mission, model=self.model, risk=self.risk)
        return Wanted(shelf=shelf, older=AGES[self.older] if self.older else None, order=self.order)

    def query(self, **changes: str | None) -> str:
        """The query of another page with these filters, ``?`` included; empty for none.

        >>> Filters(mission="RRU线缆", order="age").query(mission=None, after="9")
        '?order=age&after=9'
        """
        values = self.model_dump(mode="json", exclude_defaults=True, exclude={"after", "decided"}) | changes
        kept = {name: value for name, value in values.items() if value}
        return f"?{urlencode(kept)}" if kept else ""
