"""The service's branch of the error tree in ``vqc.errors``.

VqcError
├── AnswerMalformed     the model wrote something that is no answer
├── Overloaded          as much work is in flight as is admitted
├── Draining            the service is shutting down
├── Unauthenticated     no key, an unknown key or an expired one
├── Forbidden           a valid key without the scope that the call needs
├── FetchFailed         an allowed URL that brought no photo
└── InvalidValue
    ├── UrlRejected     a URL that must not be fetched
    ├── BodyTooLarge    a request body over the limit
    └── UnsupportedBody a request body of a content type that is not read
"""

from __future__ import annotations

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


class UrlRejected(InvalidValue):
    """A URL that must not be fetched."""

    def __init__(self, url: str, valid: str) -> None:
        super().__init__("url", url, valid)


class BodyTooLarge(InvalidValue):
    """A request body over the limit, refused on its declared or its real length."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__("body", f"{length:,} bytes", f"at most {limit:,} bytes are read")


class UnsupportedBody(InvalidValue):
    """A request body of a content type that is not read."""

    def __init__(self, content_type: str) -> None:
        super().__init__("Content-Type", content_type, "must be application/json or multipart/form-data")
