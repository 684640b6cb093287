"""The service's branch of the error tree in ``vqc.errors``.

VqcError
├── AnswerMalformed     the model's answer cannot be parsed
├── Overloaded          the in-flight limit is reached
├── RateLimited         an API key has sent its requests of this minute
├── QuotaSpent          an API key has spent its quota of the day
├── BytesOverloaded     the bodies of all requests in flight have reached their limit
├── ConnectionsFull     the limit on connections is reached; what is left is for probes
├── BodyTimeout         the request body arrives too slowly
├── Draining            the service is shutting down
├── Unauthenticated     no API key, an unknown key or an expired one
├── SignInFailed        a person could not be signed in at the sign-in provider
├── Forbidden           the API key lacks the scope that the request needs
├── OriginRefused       another site's page made the request through a browser
├── MalformedRequest    the request breaks the rules of HTTP
├── FetchFailed         an allowed URL returned no photo
├── UnknownModel        this service does not serve the alias
├── SwapRunning         another swap is running
├── SwapFailed          a swap failed; the old model is still active
├── NotPromoted         an alias was not moved; carries all findings
├── CatalogueUnavailable the model registry cannot be read or written
├── NotSwappable        the service does not run the model's engine
├── UnknownTicket       no ticket has this id
├── TicketStateConflict the ticket's state does not allow the change
├── ReviewConflict      another person has decided since the ticket was read
├── UnknownDelivery     no delivery of a webhook has this id
├── IdempotencyConflict the Idempotency-Key was used for another ticket
├── Superseded          the worker's claim on a ticket is no longer active
├── QueueFull           the queue has reached its limit
├── WebhookFailed       a webhook was not accepted
├── QueueUnavailable    Redis or the photo store does not answer
├── RecordUnreadable    what is stored under a ticket's id is no record that this version reads
├── StorageUnavailable  a file of the service cannot be written
│   └── StorageFull     its disk is full
├── BlobMissing         a photo is missing from the photo store, or damaged there
├── GuidanceConflict    a change of guidance was made for a version that is not active
├── UnknownProposal     no guidance proposal has this id
├── ProposalDecided     a guidance proposal is already approved or rejected
└── InvalidValue
    ├── HostRefused     the Host header names no allowed host
    ├── UrlRejected     the URL is not allowed
    ├── BodyTooLarge    the request body is over the limit
    └── UnsupportedBody the request body has an unsupported content type
"""

from __future__ import annotations

from collections.abc import Sequence

from service.platform.messages import LocalizedMessage
from vqc.errors import InvalidValue, VqcError


class AnswerMalformed(VqcError):
    """The model's answer cannot be parsed. ``note`` says why."""

    def __init__(self, note: str) -> None:
        self.note = note
        super().__init__(f"the model's answer cannot be parsed: {note}")


class Overloaded(VqcError):
    """The in-flight limit is reached. ``retry_after_s`` estimates when a request will be admitted."""

    def __init__(self, limit: int, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{limit} requests are in flight, which is the limit")


class RateLimited(VqcError):
    """An API key has sent its requests of this minute. ``retry_after_s`` is when it has room again."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"the API key may send {limit:,} requests per minute")


class QuotaSpent(VqcError):
    """An API key has spent its quota of the day. ``retry_after_s`` is the time until midnight UTC."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"the API key may send {limit:,} requests for work per day (UTC)")


class BytesOverloaded(VqcError):
    """The bodies of all requests in flight have reached their limit. ``retry_after_s`` estimates when there is room."""

    def __init__(self, limit: int) -> None:
        self.retry_after_s = 1.0
        super().__init__(f"the bodies of the requests in flight have {limit:,} bytes, which is the limit")


class ConnectionsFull(VqcError):
    """The limit on connections is reached. ``retry_after_s`` estimates when there is room."""

    def __init__(self) -> None:
        self.retry_after_s = 1.0
        super().__init__("the limit on connections is reached; probes are still answered")


class BodyTimeout(VqcError):
    """The request body arrives too slowly."""

    def __init__(self, bytes_per_s: int, timeout_s: float) -> None:
        super().__init__(f"a body must arrive at {bytes_per_s:,} bytes/s or faster, and within {timeout_s:g} s")


class Draining(VqcError):
    """The service is shutting down and accepts no new work."""

    def __init__(self) -> None:
        self.retry_after_s = 5.0
        super().__init__(
            "this instance is shutting down and finishes the work in flight; send the request to another instance"
        )


class SignInFailed(VqcError):
    """A person could not be signed in at the sign-in provider."""


class Unauthenticated(VqcError):
    """No API key, an unknown key or an expired one."""


class Forbidden(VqcError):
    """The API key lacks the scope that the request needs."""


class OriginRefused(VqcError):
    """Another site's page made the request through a browser. ``header`` says so."""

    def __init__(self, header: str, value: str) -> None:
        self.field = header
        self.valid = "a page of this service, or a program that is no browser"
        super().__init__(
            f"{header} is {value!r}: without keys the service accepts changes only from its own pages and from programs"
        )


class MalformedRequest(VqcError):
    """The request breaks the rules of HTTP."""


class FetchFailed(VqcError):
    """An allowed URL returned no photo: unreachable, too slow, too large, or a redirect."""


class UnknownTicket(VqcError):
    """No ticket has this id (any more)."""

    def __init__(self, id: str) -> None:
        super().__init__(f"no ticket has the id {id!r}; tickets are named by the Location of POST /stage-b/groups")


class UnknownDelivery(VqcError):
    """No delivery of a webhook has this id (any more)."""

    def __init__(self, id: str) -> None:
        super().__init__(f"no delivery of a webhook has the id {id!r}")


class TicketStateConflict(VqcError):
    """The ticket's state does not allow the change. ``valid`` names the states that may follow."""

    def __init__(self, id: str, state: str, wanted: str, allowed: Sequence[str]) -> None:
        self.valid = f"valid after {state!r}: {', '.join(allowed)}"
        super().__init__(f"the ticket {id!r} is {state!r} and cannot become {wanted!r}; {self.valid}")


class ReviewConflict(VqcError):
    """Another person has decided since the ticket was read. ``revision`` is the current one."""

    def __init__(self, id: str, seen: int, revision: int) -> None:
        self.revision = revision
        super().__init__(
            f"the ticket {id!r} has revision {revision} by now, not {seen}: another decision was made; read it again"
        )


class IdempotencyConflict(VqcError):
    """The Idempotency-Key was used for another ticket."""

    def __init__(self, key: str, id: str) -> None:
        super().__init__(f"the Idempotency-Key {key!r} was used for another ticket: {id!r}")


class Superseded(VqcError):
    """A worker's claim is no longer active: another worker has the ticket, or it was cancelled. Its results are dropped."""

    def __init__(self, id: str, fence: int) -> None:
        super().__init__(f"the claim {fence} on ticket {id!r} is no longer active")


class QueueUnavailable(VqcError):
    """Redis or the photo store does not answer, or refuses. ``retry_after_s`` estimates when it will; ``code`` is Redis'."""

    def __init__(self, reason: str, *, code: str = "", retry_after_s: float = 5.0) -> None:
        self.code = code
        self.retry_after_s = retry_after_s
        super().__init__(f"the queue does not answer: {reason}")


class StorageUnavailable(VqcError):
    """A file of the service cannot be written; ``retry_after_s`` is a guess."""

    def __init__(self, path: str, reason: str) -> None:
        self.retry_after_s = 30.0
        super().__init__(f"{path} cannot be written: {reason}")


class StorageFull(StorageUnavailable):
    """The disk of a file of the service is full."""


class RecordUnreadable(VqcError):
    """What is stored under a ticket's id is no record that this version reads. It is set aside for a person."""

    def __init__(self, id: str) -> None:
        super().__init__(f"the record of ticket {id!r} cannot be read; it is set aside until an operator restores it")


class QueueFull(VqcError):
    """The queue has reached its limit. ``retry_after_s`` estimates when it has room."""

    def __init__(self, limit: int) -> None:
        self.retry_after_s = 30.0
        super().__init__(f"{limit:,} tickets are waiting, which is the limit; retry when workers have caught up")


class WebhookFailed(VqcError):
    """A webhook was not accepted; another attempt may succeed."""


class BlobMissing(VqcError):
    """A photo is missing from the photo store, or damaged there."""

    def __init__(self, digest: str, what: str) -> None:
        super().__init__(f"the photo {digest!r} {what}")


class UnknownModel(VqcError):
    """This service does not serve the alias."""

    def __init__(self, alias: str, served: list[str]) -> None:
        super().__init__(f"no model is served as {alias!r}; served aliases: {', '.join(served)}")


class SwapRunning(VqcError):
    """Another swap is running; there is one at a time. ``retry_after_s`` estimates when it will have ended."""

    def __init__(self, progress: str, retry_after_s: float = 10.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"another swap is running: {progress}")


class SwapFailed(VqcError):
    """A swap failed. ``active`` is the digest that is still active, None for none."""

    def __init__(self, alias: str, reason: str, active: str | None) -> None:
        self.alias = alias
        self.reason = reason
        self.active = active
        super().__init__(f"{alias!r} was not replaced: {reason}; active: {active or 'none'}")


class NotPromoted(VqcError):
    """An alias was not moved. ``reasons`` are all findings against the move."""

    def __init__(self, alias: str, reasons: Sequence[LocalizedMessage]) -> None:
        self.alias = alias
        self.reasons = tuple(reasons)
        super().__init__(f"{alias!r} was not moved: {'; '.join(map(str, reasons))}")


class CatalogueUnavailable(VqcError):
    """The model registry cannot be read or written."""

    def __init__(self, where: str, reason: str) -> None:
        self.retry_after_s = 5.0
        super().__init__(f"the registry {where} cannot be used: {reason}")


class NotSwappable(VqcError):
    """The service does not run the model's engine, so it cannot replace the model."""


class GuidanceConflict(VqcError):
    """The active version is not the one that the change was made for."""

    def __init__(self, mission: str, expected: str, active: str) -> None:
        self.active, self.expected = active, expected
        super().__init__(
            f"guidance of {mission}: the active version is {active[:12]}, not {expected[:12]}; read it and retry"
        )


class UnknownProposal(VqcError):
    """No proposal of the mission has this id."""

    def __init__(self, mission: str, proposal_id: str) -> None:
        super().__init__(f"guidance of {mission}: no proposal has the id {proposal_id!r}")


class ProposalDecided(VqcError):
    """A decision on the proposal was already made. ``state`` is approved or rejected."""

    def __init__(self, proposal_id: str, state: str, by: str, at: str) -> None:
        self.proposal_id, self.state, self.by, self.at = proposal_id, state, by, at
        super().__init__(f"the proposal {proposal_id} was {state} by {by} at {at}; a decision is final")


class HostRefused(InvalidValue):
    """The ``Host`` header names no allowed host."""

    def __init__(self, host: str, allowed: Sequence[str]) -> None:
        names = ", ".join(("localhost", "a loopback address", *allowed))
        super().__init__("Host", host, f"must be one of: {names}; VQC_ALLOWED_HOSTS allows more")


class UrlRejected(InvalidValue):
    """The URL is not allowed; no connection was made."""

    def __init__(self, url: str, valid: str, field: str = "url") -> None:
        super().__init__(field, url, valid)


class BodyTooLarge(InvalidValue):
    """The request body is over the limit, by its declared or its real length."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__("body", f"{length:,} bytes", f"at most {limit:,} bytes are accepted")


class UnsupportedBody(InvalidValue):
    """The request body has an unsupported content type."""

    def __init__(self, content_type: str) -> None:
        super().__init__("Content-Type", content_type, "must be application/json or multipart/form-data")
