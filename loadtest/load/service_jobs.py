"""Requests to our own API, and the checks of its responses."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from loadtest.http.connection import Reply
from loadtest.http.requests import Body, Target, caption_problem, caption_request, file_part, form_field
from loadtest.load.job import Job, LoadJob, Reading, describe_rejection, server_sent_events
from loadtest.load.payloads import Payloads
from loadtest.load.scenario import CaptionLoad, Load, StageALoad, StageBLoad
from vqc.missions import mission_named
from vqc.parser import Status
from vqc.summary import parse as parse_summary

_MALFORMED = 502
"""The API's status for a model's text that does not parse."""


def job_of(load: Load, target: Target, payloads: Payloads) -> Job:
    """The job for an entry of a mix."""
    match load:
        case CaptionLoad():
            return CaptionJob(load=load, target=target, payloads=payloads)
        case StageALoad():
            return StageAJob(load=load, target=target, payloads=payloads)
        case StageBLoad():
            return StageBJob(load=load, target=target, payloads=payloads)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionJob(LoadJob[CaptionLoad]):
    """``POST /caption``, answered whole or as a stream of objects."""

    @override
    def request(self, n: int) -> bytes:
        return caption_request(
            self.target,
            self.payloads.photos(n, 1)[0],
            Body.JSON if self.load.body == "json" else Body.MULTIPART,
            accept="text/event-stream" if self.load.body == "sse" else "application/json",
            max_new_tokens=self.load.max_new_tokens,
        )

    @override
    def read(self, replies: Sequence[Reply]) -> Reading:
        (reply,) = replies
        if reply.status != 200:
            return Reading(problem=describe_rejection(reply), malformed=reply.status == _MALFORMED)
        if self.load.body == "sse":
            return _read_stream(reply)
        answer = json.loads(reply.body)
        return Reading(
            problem=caption_problem(bytes(reply.body)), completion_tokens=answer["usage"]["completion_tokens"]
        )


def _read_stream(reply: Reply) -> Reading:
    found = [*server_sent_events(reply.body)]
    objects = [(data["object"], end) for name, data, end in found if name == "object"]
    name, last, _ = found[-1] if found else ("nothing", {}, 0)
    if name != "done":
        return Reading(problem=f"the stream ended with {name}: {last}", malformed=last.get("status") == _MALFORMED)
    problem = caption_problem(json.dumps(last).encode())
    if not problem and [*last["caption"].values()] != [item for item, _ in objects] and last["status"] == "parsed":
        problem = f"{len(objects)} objects were streamed, {len(last['caption'])} are in the caption"
    return Reading(
        problem=problem,
        first_object_at=reply.time_of_byte(objects[0][1]) if objects else None,
        completion_tokens=last["usage"]["completion_tokens"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAJob(LoadJob[StageALoad]):
    """``POST /stage-a``, multipart; one line per photo."""

    @override
    def request(self, n: int) -> bytes:
        parts = [form_field("mission", self.load.mission)]
        parts += [
            file_part("photos", f"{k}.jpg", photo) for k, photo in enumerate(self.payloads.photos(n, self.load.photos))
        ]
        return self.target.post_multipart(f"/stage-a?max_new_tokens={self.load.max_new_tokens}", parts)

    @override
    def read(self, replies: Sequence[Reply]) -> Reading:
        (reply,) = replies
        if reply.status != 200:
            return Reading(problem=describe_rejection(reply))
        photos = json.loads(reply.body)["photos"]
        if len(photos) != self.load.photos:
            return Reading(problem=f"{len(photos)} lines for {self.load.photos} photos")
        problems = [photo["problem"] for photo in photos if "problem" in photo]
        lines = [photo["summary"] for photo in photos if "summary" in photo]
        words = mission_named(self.load.mission).words
        if unread := [line for line in lines if parse_summary(line, words).status is not Status.PARSED]:
            return Reading(problem=f"not a Stage-A line: {unread[0]!r}")
        return Reading(
            problem=f"{problems[0]}" if problems else None,
            malformed=bool(problems) and all(problem["status"] == _MALFORMED for problem in problems),
            completion_tokens=sum(photo["usage"]["completion_tokens"] for photo in photos if "usage" in photo),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBJob(LoadJob[StageBLoad]):
    """``POST /stage-b/groups``, then its events until the run has ended."""

    @override
    def request(self, n: int) -> bytes:
        load = self.load
        photos, lines = self.payloads.photos(n, load.photos), self.payloads.lines_of(n, load.photos)
        if load.lines == "given":
            entries: list[dict[str, str]] = [{"summary": line} for line in lines]
            if load.evidence != "summaries":
                entries = [
                    {**entry, "base64": base64.b64encode(photo).decode()}
                    for entry, photo in zip(entries, photos, strict=True)
                ]
            ticket = {"mission": load.mission, "evidence": load.evidence, "photos": entries}
            return self.target.post_json("/stage-b/groups", ticket)
        ticket_json = json.dumps({"mission": load.mission, "evidence": load.evidence}, ensure_ascii=False)
        parts = [
            form_field("group", ticket_json),
            *(file_part("photos", f"{k}.jpg", photo) for k, photo in enumerate(photos)),
        ]
        return self.target.post_multipart("/stage-b/groups", parts)

    @override
    def follow(self, reply: Reply) -> bytes | None:
        if reply.status != 202:
            return None
        return self.target.head("GET", f"{reply.headers['location']}/events", Accept="text/event-stream")

    @override
    def read(self, replies: Sequence[Reply]) -> Reading:
        rejection = next((reply for reply in replies if reply.status not in (200, 202)), None)
        if rejection is not None:
            return Reading(problem=describe_rejection(rejection))
        finished = [data for name, data, _ in server_sent_events(replies[-1].body) if name == "finished"]
        if not finished:
            return Reading(problem=f"no verdict: {bytes(replies[-1].body[-300:]).decode('utf-8', 'replace')}")
        state = finished[-1]["state"]
        if state not in ("decided", "needs_review"):
            return Reading(problem=f"the ticket ended as {finished[-1]}")
        return Reading()  # also without a verdict: a person decides when the votes are divided
