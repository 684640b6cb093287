"""Answers from the running service, over its public HTTP surface."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from trainer.evaluation.answers import LabelledPhoto, LabelledTicket
from vqc import summary, verdict
from vqc.caption import CaptionObject, DenseCaption
from vqc.errors import VqcError
from vqc.geometry import Kind, Shape
from vqc.parser import CaptionOutcome, Status
from vqc.summary import SummaryOutcome
from vqc.verdict import VerdictAnswer, VerdictOutcome

TIMEOUT_S = 300.0
RETRIES = 20
"""Times that a busy service is asked again."""
UNDECIDED = ("queued", "running")
"""States of a ticket before its verdict."""
MALFORMED = "answer-malformed"
"""Part of a problem's type that says the model's answer could not be read."""


class ServiceRefused(VqcError):
    """The service did not answer. ``status`` is its HTTP status (0: no connection), ``detail`` its own words."""

    def __init__(self, url: str, status: int, detail: str) -> None:
        self.url = url
        self.status = status
        self.detail = detail
        super().__init__(f"{url}: {status or 'no connection'}: {detail}")


class ServiceClient:
    """The service at ``url``, asked with up to ``concurrency`` photos at a time."""

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

    def captions(self, photos: Sequence[LabelledPhoto]) -> Iterator[CaptionOutcome]:
        """``POST /caption`` for each photo."""
        yield from self._each(self._caption, photos)

    def lines(self, photos: Sequence[LabelledPhoto]) -> Iterator[SummaryOutcome]:
        """``POST /stage-a`` for each photo."""
        yield from self._each(self._line, photos)

    def verdicts(self, tickets: Sequence[LabelledTicket]) -> Iterator[VerdictOutcome]:
        """``POST /stage-b/groups`` for each ticket: the verdict the machine chose, also where a person is to decide."""
        yield from self._each(self._verdict, tickets)

    def _each(self, ask: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        with ThreadPoolExecutor(self._concurrency) as pool:
            yield from pool.map(ask, items)

    def _caption(self, photo: LabelledPhoto) -> CaptionOutcome:
        with photo.path.open("rb") as file:
            answer = self._post("/caption", files={"photo": (photo.path.name, file.read())})
        if answer is None:
            return CaptionOutcome(status=Status.MALFORMED, caption=None, notes=("the service could not read it",))
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
        return summary.parse(line or "")

    def _verdict(self, ticket: LabelledTicket) -> VerdictOutcome:
        response = self._request("POST", "/stage-b/groups", json=_group(ticket))
        location = response.headers["Location"]
        deadline = time.monotonic() + TIMEOUT_S
        while (group := self._request("GET", location).json())["state"] in UNDECIDED:
            if time.monotonic() > deadline:
                raise ServiceRefused(
                    f"{self.name}{location}", 0, f"no verdict after {TIMEOUT_S:.0f} s; is a worker running?"
                )
            time.sleep(0.2)
        if group["machine_verdict"] is None:
            return VerdictOutcome(status=Status.MALFORMED, answer=None, note="the service gave no verdict")
        answer = VerdictAnswer(verdict=verdict.Verdict(group["machine_verdict"]), reason=group["reason"] or "-")
        return VerdictOutcome(status=Status.PARSED, answer=answer)

    def _post(self, path: str, **parts: Any) -> dict[str, Any] | None:
        """The answer's JSON; None when the model's answer was unreadable."""
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


def _group(ticket: LabelledTicket) -> dict[str, Any]:
    """The ticket as it is submitted, judged from what it holds: photos, lines or both."""
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
