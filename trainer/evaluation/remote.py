"""Evaluates the running service over its public HTTP API."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from typing_extensions import override

from trainer.evaluation.answers import Answerer, LabelledPhoto, LabelledTicket
from vqc import summary, verdict
from vqc.caption import CaptionObject, DenseCaption
from vqc.errors import VqcError
from vqc.geometry import Kind, Shape
from vqc.parser import CaptionOutcome, Status
from vqc.summary import SummaryOutcome
from vqc.verdict import VerdictAnswer, VerdictOutcome

TIMEOUT_S = 300.0
RETRIES = 20
"""Number of attempts while the service is busy."""
UNDECIDED = ("queued", "running")
"""States of a ticket before its verdict."""
MALFORMED = "answer-malformed"
"""Part of the type of the problem that reports an unreadable model answer."""


class ServiceRefused(VqcError):
    """The service did not answer a request. ``status`` is its HTTP status (0: no connection), ``detail`` its message."""

    def __init__(self, url: str, status: int, detail: str) -> None:
        self.url = url
        self.status = status
        self.detail = detail
        super().__init__(f"{url}: {status or 'no connection'}: {detail}")


class ServiceClient(Answerer):
    """The service at ``url``, with up to ``concurrency`` requests at a time."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        concurrency: int = 16,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.name = url.rstrip("/")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(base_url=self.name, headers=headers, timeout=TIMEOUT_S, transport=transport)
        self._concurrency = concurrency

    @override
    def captions(self, photos: Sequence[LabelledPhoto]) -> Iterator[CaptionOutcome]:
        """``POST /caption`` for each photo."""
        yield from self._each(self._caption, photos)

    @override
    def lines(self, photos: Sequence[LabelledPhoto]) -> Iterator[SummaryOutcome]:
        """``POST /stage-a`` for each photo."""
        yield from self._each(self._line, photos)

    @override
    def verdicts(self, tickets: Sequence[LabelledTicket]) -> Iterator[VerdictOutcome]:
        """``POST /stage-b/groups`` for each ticket: the machine's verdict, even if the ticket goes to review."""
        yield from self._each(self._verdict, tickets)

    def _each(self, request: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        with ThreadPoolExecutor(self._concurrency) as pool:
            yield from pool.map(request, items)

    def _caption(self, photo: LabelledPhoto) -> CaptionOutcome:
        with photo.path.open("rb") as file:
            answer = self._post("/caption", files={"photo": (photo.path.name, file.read())})
        if answer is None:
            return CaptionOutcome(
                status=Status.MALFORMED, caption=None, notes=("the service could not parse the answer",)
            )
        objects = tuple(_object(value) for value in answer["caption"].values())
        return CaptionOutcome(
            status=Status(answer.get("status", Status.PARSED)),
            caption=DenseCaption(objects),
            truncated=bool(answer.get("truncated")),
        )

    def _line(self, photo: LabelledPhoto) -> SummaryOutcome:
        with photo.path.open("rb") as file:
            answer = self._post(
                "/stage-a", data={"mission": photo.mission.name}, files={"photos": (photo.path.name, file.read())}
            )
        line = answer["photos"][0].get("summary") if answer else None
        return summary.parse(line or "", photo.mission.words)

    def _verdict(self, ticket: LabelledTicket) -> VerdictOutcome:
        response = self._request("POST", "/stage-b/groups", json=_submission(ticket))
        location = response.headers["Location"]
        deadline = time.monotonic() + TIMEOUT_S
        while (status := self._request("GET", location).json())["state"] in UNDECIDED:
            if time.monotonic() > deadline:
                raise ServiceRefused(
                    f"{self.name}{location}", 0, f"no verdict after {TIMEOUT_S:.0f} s; is a worker running?"
                )
            time.sleep(0.2)
        if status["machine_verdict"] is None:
            return VerdictOutcome(status=Status.MALFORMED, answer=None, note="the service returned no verdict")
        answer = VerdictAnswer(verdict=verdict.Verdict(status["machine_verdict"]), reason=status["reason"] or "-")
        return VerdictOutcome(status=Status.PARSED, answer=answer)

    def _post(self, path: str, **parts: Any) -> dict[str, Any] | None:
        """The response's JSON; None when the model's answer was unreadable."""
        try:
            return self._request("POST", path, **parts).json()
        except ServiceRefused as error:
            if error.status == httpx.codes.BAD_GATEWAY and MALFORMED in error.detail:
                return None
            raise

    def _request(self, method: str, path: str, **parts: Any) -> httpx.Response:
        for attempt in range(RETRIES):
            try:
                response = self._client.request(method, path, **parts)
            except httpx.HTTPError as error:
                raise ServiceRefused(f"{self.name}{path}", 0, str(error)) from error
            if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                if response.is_error:
                    raise ServiceRefused(f"{self.name}{path}", response.status_code, response.text[:500])
                return response
            time.sleep(float(response.headers.get("Retry-After", 2**attempt / 4)))
        raise ServiceRefused(f"{self.name}{path}", httpx.codes.TOO_MANY_REQUESTS, "busy for too long")


def _submission(ticket: LabelledTicket) -> dict[str, Any]:
    """The request body of a ticket; its evidence is what the ticket has: photos, lines or both."""
    photos: list[dict[str, str]] = [{} for _ in range(max(len(ticket.photos), len(ticket.summaries)))]
    for photo, path in zip(photos, ticket.photos, strict=False):
        photo["base64"] = b64encode(path.read_bytes()).decode()
    for photo, line in zip(photos, ticket.summaries, strict=False):
        photo["summary"] = line
    evidence = "both" if ticket.photos and ticket.summaries else "images" if ticket.photos else "summaries"
    return {"mission": ticket.mission.name, "photos": photos, "evidence": evidence}


def _object(value: dict[str, Any]) -> CaptionObject:
    kind = next(kind for kind in Kind if value.get(kind.value) is not None)
    return CaptionObject(shape=Shape(kind, tuple(round(v) for v in value[kind.value])), desc=value["desc"])
