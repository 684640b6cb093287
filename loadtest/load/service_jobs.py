"""Requests to our own API, and what its answers must look like."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.http.connection import Reply
from loadtest.http.requests import Body, Target, caption_fault, caption_request, file_part, form
from loadtest.load.job import LoadJob
from loadtest.load.payloads import Supply
from loadtest.load.reading import Job, Reading, events, refused
from loadtest.load.scenario import CaptionLoad, Load, StageALoad, StageBLoad
from vqc.parser import Status
from vqc.summary import parse as parse_summary

_MALFORMED = 502
"""The status that we give a model's unreadable answer."""


def job_of(load: Load, target: Target, supply: Supply) -> Job:
    """The requests of an entry of a mix."""
    match load:
        case CaptionLoad():
            return CaptionJob(load=load, target=target, supply=supply)
        case StageALoad():
            return StageAJob(load=load, target=target, supply=supply)
        case StageBLoad():
            return StageBJob(load=load, target=target, supply=supply)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionJob(LoadJob[CaptionLoad]):
    """``POST /caption``, whole or object by object."""

    def request(self, n: int) -> bytes:
        """The photo as multipart or JSON."""
        return caption_request(
            self.target,
            self.supply.photos(n, 1)[0],
            Body.JSON if self.load.body == "json" else Body.MULTIPART,
            accept="text/event-stream" if self.load.body == "sse" else "application/json",
            max_new_tokens=self.load.max_new_tokens,
        )

    def read(self, replies: Sequence[Reply]) -> Reading:
        """A dense caption, its objects streamed one by one where that was asked for."""
        (reply,) = replies
        if reply.status != 200:
            return Reading(problem=refused(reply), malformed=reply.status == _MALFORMED)
        if self.load.body == "sse":
            return _streamed(reply)
        answer = json.loads(reply.body)
        return Reading(problem=caption_fault(bytes(reply.body)), completion_tokens=answer["usage"]["completion_tokens"])


def _streamed(reply: Reply) -> Reading:
    found = [*events(reply.body)]
    objects = [(data["object"], end) for name, data, end in found if name == "object"]
    name, last, _ = found[-1] if found else ("nothing", {}, 0)
    if name != "done":
        return Reading(problem=f"the stream ended with {name}: {last}", malformed=last.get("status") == _MALFORMED)
    problem = caption_fault(json.dumps(last).encode())
    if not problem and [*last["caption"].values()] != [item for item, _ in objects] and last["status"] == "parsed":
        problem = f"{len(objects)} objects were streamed, {len(last['caption'])} are in the caption"
    return Reading(
        problem=problem,
        first_object_at=reply.arrived(objects[0][1]) if objects else None,
        completion_tokens=last["usage"]["completion_tokens"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAJob(LoadJob[StageALoad]):
    """``POST /stage-a``, multipart."""

    def request(self, n: int) -> bytes:
        """The mission and the photos."""
        parts = [form("mission", self.load.mission)]
        parts += [
            file_part("photos", f"{k}.jpg", photo) for k, photo in enumerate(self.supply.photos(n, self.load.photos))
        ]
        return self.target.post(f"/stage-a?max_new_tokens={self.load.max_new_tokens}", parts)

    def read(self, replies: Sequence[Reply]) -> Reading:
        """One readable line per photo."""
        (reply,) = replies
        if reply.status != 200:
            return Reading(problem=refused(reply))
        photos = json.loads(reply.body)["photos"]
        if len(photos) != self.load.photos:
            return Reading(problem=f"{len(photos)} lines for {self.load.photos} photos")
        problems = [photo["problem"] for photo in photos if "problem" in photo]
        lines = [photo["summary"] for photo in photos if "summary" in photo]
        if unread := [line for line in lines if parse_summary(line).status is not Status.PARSED]:
            return Reading(problem=f"not a Stage-A line: {unread[0]!r}")
        return Reading(
            problem=f"{problems[0]}" if problems else None,
            malformed=bool(problems) and all(problem["status"] == _MALFORMED for problem in problems),
            completion_tokens=sum(photo["usage"]["completion_tokens"] for photo in photos if "usage" in photo),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBJob(LoadJob[StageBLoad]):
    """``POST /stage-b/groups``, then its events until the run has ended."""

    def request(self, n: int) -> bytes:
        """The ticket: photos as files, or in JSON with their lines where these are given."""
        load = self.load
        photos, lines = self.supply.photos(n, load.photos), self.supply.lines_of(n, load.photos)
        if load.lines == "given":
            entries: list[dict[str, str]] = [{"summary": line} for line in lines]
            if load.evidence != "summaries":
                entries = [
                    {**entry, "base64": base64.b64encode(photo).decode()}
                    for entry, photo in zip(entries, photos, strict=True)
                ]
            ticket = {"mission": load.mission, "evidence": load.evidence, "photos": entries}
            return self.target.post_json("/stage-b/groups", ticket)
        group = json.dumps({"mission": load.mission, "evidence": load.evidence}, ensure_ascii=False)
        parts = [form("group", group), *(file_part("photos", f"{k}.jpg", photo) for k, photo in enumerate(photos))]
        return self.target.post("/stage-b/groups", parts)

    def follow(self, reply: Reply) -> bytes | None:
        """The ticket's events."""
        if reply.status != 202:
            return None
        return self.target.head("GET", f"{reply.headers['location']}/events", Accept="text/event-stream")

    def read(self, replies: Sequence[Reply]) -> Reading:
        """A run that ended with a final record, for a person or not."""
        refusal = next((reply for reply in replies if reply.status not in (200, 202)), None)
        if refusal is not None:
            return Reading(problem=refused(refusal))
        finished = [data for name, data, _ in events(replies[-1].body) if name == "finished"]
        if not finished:
            return Reading(problem=f"no verdict: {bytes(replies[-1].body[-300:]).decode('utf-8', 'replace')}")
        state = finished[-1]["state"]
        if state not in ("decided", "needs_review"):
            return Reading(problem=f"the ticket ended as {finished[-1]}")
        return Reading()  # without a verdict too: divided votes are a person's to decide
