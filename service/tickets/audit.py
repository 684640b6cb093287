"""Records a person's decision in the audit log."""

from __future__ import annotations

from starlette.requests import Request

from service.platform.audit_log import Action
from service.tickets.ticket import Ticket
from service.web.audit import record


async def record_decision(request: Request, ticket: Ticket) -> None:
    """Records the last decision on the ticket, or that it was withdrawn."""
    last = ticket.reviews[-1]
    action = Action.DECISION_WITHDRAWN if last.verdict is None else Action.TICKET_DECIDED
    await record(request, action, ticket=ticket.id, name=last.name, verdict=last.verdict, replaced=last.replaced)
