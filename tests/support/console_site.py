"""The console on memory and the scripted engine, called without a network; keys as on a real machine."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

from service.app.context import Context
from service.app.http import create_app
from service.console.app import ConsoleOptions, create_console
from service.console.session_store import MemorySessions
from service.web.auth import Scope
from service.web.key_file import create_key

HTML = {"Accept": "text/html"}


@dataclass
class Clock:
    """What the sessions take for the time."""

    moment: datetime

    def __call__(self) -> datetime:
        return self.moment


@dataclass
class Site:
    """A console with a key for each purpose."""

    context: Context
    clock: Clock
    keys: dict[str, str]
    key_file: Path | None = None
    options: ConsoleOptions = ConsoleOptions(grafana_url="https://grafana.example.com")  # noqa: RUF009  (it is frozen)

    def __post_init__(self) -> None:
        self.sessions = MemorySessions(self.clock)
        self.app = create_app(
            self.context,
            console=create_console(
                self.options, attach=self.context.attach_to, keys=self.context.web.keys, store=self.sessions
            ),
        )

    @asynccontextmanager
    async def visitor(self, key: str | None = None) -> AsyncGenerator[Visitor, None]:
        """A browser without script, signed in where a key is named."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://vqc.test", headers=HTML) as client:
            visitor = Visitor(client)
            if key:
                answer = await visitor.post("/console/sign-in", key=self.keys[key])
                assert answer.status_code == 303, answer.text
            yield visitor


@dataclass
class Visitor:
    """A person at a browser: posts carry the token of the last page looked at."""

    client: httpx.AsyncClient

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def post(self, path: str, **form: str) -> httpx.Response:
        return await self.client.post(path, data={"csrf_token": await self.csrf(), **form})

    async def csrf(self) -> str:
        """The token of this visitor's session."""
        shown = (await self.client.get("/console/sign-in")).text
        found = re.search(r'name="csrf-token" content="([^"]+)"', shown)
        assert found, shown
        return found[1]


def keys_file(folder: Path) -> tuple[Path, dict[str, str]]:
    """A key file and the keys in it: everything, looking only, deciding, and the engine only."""
    path = folder / "keys.yaml"
    scopes = {
        "all": ("王工", list(Scope)),
        "looks": ("赵工", [Scope.STAGE_B]),
        "decides": ("李工", [Scope.STAGE_B, Scope.REVIEW]),
        "captions": ("", [Scope.CAPTION]),
    }
    return path, {purpose: create_key(path, some, None, name=name) for purpose, (name, some) in scopes.items()}
