"""The service's branch of the error tree in ``vqc.errors``.

VqcError
├── AnswerMalformed     the model wrote something that is no answer
├── Overloaded          as much work is in flight as is admitted
├── Draining            the service is shutting down
├── Unauthenticated     no key, an unknown key or an expired one
├── Forbidden           a valid key without the scope that the call needs
├── FetchFailed         an allowed URL that brought no photo
├── UnknownModel        an alias that this service does not serve
├── SwapRunning         a model is being replaced already
├── SwapFailed          a new model did not come into force; the old one still is
├── NotPromoted         an alias that was not moved, with everything that stands against it
├── CatalogueUnavailable the registry of models cannot be read
├── NotSwappable        a model that somebody else puts in force
├── UnknownTicket       no ticket has this id
├── TicketStateConflict a ticket in a state that does not allow what was asked
├── IdempotencyConflict an Idempotency-Key that was used for another ticket
├── Superseded          a worker that another worker, or a cancel, has taken the ticket from
├── QueueFull           as many tickets wait as may
├── WebhookFailed       the caller's system did not take what it was told
├── QueueUnavailable    Redis, or the store of photos, does not answer
├── BlobMissing         a photo that the store of photos has lost
├── GuidanceConflict    a change to guidance that was made for another version than the one in force
├── UnknownProposal     no guidance proposal has this id
├── ProposalDecided     a guidance proposal that somebody has approved or rejected already
└── InvalidValue
    ├── HostRefused     a request under a name that the service does not answer to
    ├── UrlRejected     a URL that must not be fetched
    ├── BodyTooLarge    a request body over the limit
    └── UnsupportedBody a request body of a content type that is not read
"""

from __future__ import annotations

from collections.abc import Sequence

from service.platform.messages import Remark
from vqc.errors import InvalidValue, VqcError


class AnswerMalformed(VqcError):
    """The engine's answer could not be read at all. ``note`` says what was wrong with it."""

    def __init__(self, note: str) -> None:
        self.note = note
        super().__init__(f"the model's answer could not be read: {note}")


class Overloaded(VqcError):
    """As much work is in flight as the service admits. ``retry_after_s`` is a guess at when there is room."""

    def __init__(self, limit: int, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{limit} requests are in flight, as many as are admitted")


class Draining(VqcError):
    """The service is shutting down and takes no new work."""

    def __init__(self) -> None:
        self.retry_after_s = 5.0
        super().__init__("this instance is shutting down and finishes what it has; another one takes new work")


class Unauthenticated(VqcError):
    """No key, an unknown key or an expired one."""


class Forbidden(VqcError):
    """A valid key without the scope that the call needs."""


class FetchFailed(VqcError):
    """An allowed URL that brought no photo: unreachable, too slow, too large, or a redirect."""


class UnknownTicket(VqcError):
    """No ticket has this id (any more)."""

    def __init__(self, id: str) -> None:
        super().__init__(f"no ticket has the id {id!r}; tickets are named by the Location of POST /stage-b/groups")


class TicketStateConflict(VqcError):
    """A ticket in a state that does not allow what was asked. ``valid`` says what may follow its state."""

    def __init__(self, id: str, state: str, wanted: str, allowed: Sequence[str]) -> None:
        self.valid = f"after {state!r} may come: {', '.join(allowed)}"
        super().__init__(f"the ticket {id!r} is {state!r} and cannot become {wanted!r}; {self.valid}")


class ReviewConflict(VqcError):
    """Somebody else decided since the ticket was looked at. ``revision`` is the one that is in force."""

    def __init__(self, id: str, seen: int, revision: int) -> None:
        self.revision = revision
        super().__init__(
            f"the ticket {id!r} was decided meanwhile: revision {revision} is in force, not {seen}; look at it again"
        )


class IdempotencyConflict(VqcError):
    """An Idempotency-Key that was used for another ticket."""

    def __init__(self, key: str, id: str) -> None:
        super().__init__(f"the Idempotency-Key {key!r} was used for another ticket: {id!r}")


class Superseded(VqcError):
    """A worker whose ticket another worker, or a cancel, has taken: nothing it brings is wanted any more."""

    def __init__(self, id: str, fence: int) -> None:
        super().__init__(f"the claim {fence} on ticket {id!r} is no longer in force")


class QueueUnavailable(VqcError):
    """Redis, or the store of photos, does not answer. ``retry_after_s`` is a guess at when it will."""

    def __init__(self, reason: str) -> None:
        self.retry_after_s = 5.0
        super().__init__(f"the queue does not answer: {reason}")


class QueueFull(VqcError):
    """As many tickets wait as may. ``retry_after_s`` is a guess at when there is room."""

    def __init__(self, limit: int) -> None:
        self.retry_after_s = 30.0
        super().__init__(f"{limit:,} tickets are waiting, as many as may; workers have to catch up first")


class WebhookFailed(VqcError):
    """The caller's system did not take what it was told; worth trying again."""


class BlobMissing(VqcError):
    """A photo that the store of photos does not have, or not as it was put."""

    def __init__(self, digest: str, what: str) -> None:
        super().__init__(f"the photo {digest!r} {what}")


class UnknownModel(VqcError):
    """An alias that this service does not serve."""

    def __init__(self, alias: str, served: list[str]) -> None:
        super().__init__(f"no model is served as {alias!r}; served: {', '.join(served)}")


class SwapRunning(VqcError):
    """A model is being replaced already; one at a time. ``retry_after_s`` is a guess at when that is done."""

    def __init__(self, doing: str, retry_after_s: float = 10.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"a model is being replaced already: {doing}")


class SwapFailed(VqcError):
    """A new model did not come into force. ``in_force`` is the digest that still is, None for none."""

    def __init__(self, alias: str, reason: str, in_force: str | None) -> None:
        self.alias = alias
        self.reason = reason
        self.in_force = in_force
        super().__init__(f"{alias!r} was not replaced: {reason}; in force: {in_force or 'none'}")


class NotPromoted(VqcError):
    """An alias that was not moved. ``reasons`` is everything that stands against it."""

    def __init__(self, alias: str, reasons: Sequence[Remark]) -> None:
        self.alias = alias
        self.reasons = tuple(reasons)
        super().__init__(f"{alias!r} was not moved: {'; '.join(map(str, reasons))}")


class CatalogueUnavailable(VqcError):
    """The registry of models cannot be read or written."""

    def __init__(self, where: str, reason: str) -> None:
        self.retry_after_s = 5.0
        super().__init__(f"the registry {where} cannot be used: {reason}")


class NotSwappable(VqcError):
    """A model that somebody else puts in force, such as that of an external engine."""


class GuidanceConflict(VqcError):
    """The version in force is not the one that the change was made for: somebody was faster."""

    def __init__(self, mission: str, expected: str, in_force: str) -> None:
        self.in_force, self.expected = in_force, expected
        super().__init__(
            f"guidance of {mission}: {in_force[:12]} is in force, not {expected[:12]}; look at it and retry"
        )


class UnknownProposal(VqcError):
    """No proposal of the mission has this id."""

    def __init__(self, mission: str, proposal_id: str) -> None:
        super().__init__(f"guidance of {mission}: no proposal has the id {proposal_id!r}")


class ProposalDecided(VqcError):
    """A proposal that somebody has decided on. ``state`` is approved or rejected."""

    def __init__(self, proposal_id: str, state: str, by: str, at: str) -> None:
        self.proposal_id, self.state, self.by, self.at = proposal_id, state, by, at
        super().__init__(f"the proposal {proposal_id} was {state} by {by} at {at}; a decision is made once")


class HostRefused(InvalidValue):
    """A request under a name that the service does not answer to."""

    def __init__(self, host: str, allowed: Sequence[str]) -> None:
        names = ", ".join(("localhost", "a loopback address", *allowed))
        super().__init__("Host", host, f"must be one of: {names}; VQC_ALLOWED_HOSTS names more")


class UrlRejected(InvalidValue):
    """A URL that must not be connected to."""

    def __init__(self, url: str, valid: str, field: str = "url") -> None:
        super().__init__(field, url, valid)


class BodyTooLarge(InvalidValue):
    """A request body over the limit, refused on its declared or its real length."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__("body", f"{length:,} bytes", f"at most {limit:,} bytes are read")


class UnsupportedBody(InvalidValue):
    """A request body of a content type that is not read."""

    def __init__(self, content_type: str) -> None:
        super().__init__("Content-Type", content_type, "must be application/json or multipart/form-data")
