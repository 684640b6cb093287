"""The client of a running service, for the commands that call one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vqc.errors import VqcError

if TYPE_CHECKING:
    import httpx

_F = TypeVar("_F", bound=Callable[..., Any])
_TRIES = 20


class ServiceCallFailed(VqcError):
    """The service rejected the request, or does not answer."""


def service_options(command: _F) -> _F:
    """``--url`` and ``--api-key`` of the service, and ``--json``."""
    command = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)
    command = click.option("--api-key", envvar="VQC_CLIENT_KEY", help="API key [VQC_CLIENT_KEY].")(command)
    return click.option(
        "--url",
        default="http://127.0.0.1:8080",
        show_default=True,
        envvar="VQC_CLIENT_URL",
        help="URL of the service [VQC_CLIENT_URL].",
    )(command)


def client_of(url: str, api_key: str | None) -> httpx.Client:
    """A client with the API key."""
    import httpx

    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return httpx.Client(base_url=url, headers=headers, timeout=60)


def call(client: httpx.Client, method: str, path: str, **options: Any) -> Any:
    """The JSON of the response. Raises ``ServiceCallFailed`` with the problem in one sentence."""
    import httpx

    try:
        answer = client.request(method, path, **options)
    except httpx.TransportError as error:
        raise ServiceCallFailed(f"{client.base_url} does not answer: {error}") from error
    if answer.is_error:
        raise ServiceCallFailed(_sentence(answer))
    return answer.json()


def ticket_events(client: httpx.Client, group_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a ticket until its run ends. A broken connection is resumed after the last event."""
    import time

    import httpx

    last: str | None = None
    for attempt in range(_TRIES):
        headers = {"Last-Event-ID": last} if last else {}
        try:
            with client.stream("GET", f"/stage-b/groups/{group_id}/events", headers=headers) as answer:
                if answer.is_error:
                    answer.read()
                    raise ServiceCallFailed(_sentence(answer))
                if answer.status_code == 204:
                    return
                fields: dict[str, str] = {}
                for line in answer.iter_lines():
                    if line:
                        name, _, value = line.partition(": ")
                        fields[name] = value
                    elif "event" in fields:
                        last = fields["id"]
                        yield fields["event"], json.loads(fields["data"])
                        fields = {}
        except httpx.TransportError:
            time.sleep(min(5, 0.2 * 2**attempt))
    raise ServiceCallFailed(
        f"{client.base_url} broke the stream {_TRIES} times; `vqc groups show {group_id}` prints the ticket"
    )


def _sentence(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.url} returned status {answer.status_code}"
