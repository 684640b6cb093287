"""Every name that a stranger chooses in a path, a query or a form is looked up or refused; none makes a 500."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute

from engine.scripted import ScriptedEngine
from service.app.http import create_routes
from service.console import assets, sign
from service.console.pages import PAGES
from tests.support.console_site import Clock, Site
from tests.support.service_context import context_with

HOSTILE = [
    "%00",
    "a%00.css",
    "a" * 5000,
    quote("挡" * 300),
    "%ff%fe",
    "%ed%a0%80",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%0d%0aX:1",
    "-1",
    "9" * 400,
]
ROUTES = [
    route
    for router in (create_routes(), assets.router, sign.router, *(page.router for page in PAGES))
    for route in router.routes
    if isinstance(route, APIRoute)
]


@pytest.fixture
async def visitor():
    site = Site(context_with(ScriptedEngine()), Clock(datetime.now(UTC)), {})
    async with site.visitor() as visitor:
        yield visitor


def filled(path: str, value: str) -> Iterator[str]:
    """The path with ``value`` for each of its names in turn; the others have a harmless one."""
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    for hostile in names:
        shown = path
        for name in names:
            shown = shown.replace(f"{{{name}}}", value if name == hostile else "00aa")
        yield shown


async def test_no_name_in_a_path_is_a_500(visitor):
    token, tried = {"X-CSRF-Token": await visitor.csrf()}, 0
    for route in ROUTES:
        for method in route.methods:
            for value in HOSTILE:
                for path in filled(route.path, value):
                    answer = await visitor.client.request(method, path, headers=token)
                    assert answer.status_code != 500, (method, path[:200], answer.text)
                    tried += 1
    assert tried > 100


async def test_no_value_of_a_query_or_a_form_is_a_500(visitor):
    token = await visitor.csrf()
    values = cycle(HOSTILE)
    for route in ROUTES:
        path = route.path.replace("{mission}", quote("挡风板安装检查")).replace("{", "").replace("}", "")
        names = [field.alias for field in (*route.dependant.query_params, *route.dependant.body_params)]
        for _ in HOSTILE:
            pairs = "&".join(
                f"{name}={next(values)}" for name in ("after", "mission", "model", "risk", "state", *names)
            )
            for method in route.methods - {"GET"}:
                headers = {"Content-Type": "application/x-www-form-urlencoded", "X-CSRF-Token": token}
                answer = await visitor.client.request(method, path, content=pairs, headers=headers)
                assert answer.status_code != 500, (method, path, pairs[:200], answer.text)
            for method in route.methods & {"GET"}:
                answer = await visitor.client.request(method, f"{path}?{pairs}")
                assert answer.status_code != 500, (method, path, pairs[:200], answer.text)
