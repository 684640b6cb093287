"""Try it: captions and lines of photos that are dropped into the browser. ``static/try.js`` does the work.

The page posts to the API's own routes, mounted under the console's path: there the session authenticates, not a key.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from service.console.render import page, words_of
from service.console.words import catalogue
from service.photos.bodies import caption_photo
from service.photos.pictures import Picture, browser_picture, upright_jpeg
from service.photos.routes import caption, stage_a
from service.photos.services import photo_services
from service.web.auth import Scope, caller_of, require
from service.web.services import web_services
from vqc.missions import missions

router = APIRouter(prefix="/console/try")


async def count_work(request: Request) -> None:
    """Counts the request against the limits of the key that signed in, as the gate does for the API."""
    limits, caller = web_services(request).limits, caller_of(request)
    await limits.count_request(caller)
    await limits.count_work(caller)


for path, route in (("/caption", caption), ("/stage-a", stage_a)):
    router.add_api_route(path, route, methods=["POST"], response_model=None, dependencies=[Depends(count_work)])


@router.post("/picture")
async def picture(request: Request) -> Response:
    """The posted photo as a picture that every browser shows upright. Needs the scope ``caption``."""
    require(request, Scope.CAPTION)
    services = photo_services(request)
    data = await caption_photo(request, services.fetch)
    shown = await services.reader.render(browser_picture, data)
    if shown is None:
        shown = Picture(data=await services.reader.render(upright_jpeg, data), media_type="image/jpeg")
    return Response(shown.data, media_type=shown.media_type, headers={"Cache-Control": "no-store"})


SCRIPT_WORDS = "try_script."
"""The prefix of the texts of ``try.js``: states, and problems by their slug."""


@router.get("")
async def show(request: Request) -> Response:
    """The page. Needs the scope ``caption``; without ``stage-a`` it offers no missions."""
    require(request, Scope.CAPTION)
    t = words_of(request)
    return page(
        request,
        "try.html",
        missions=list(missions()) if Scope.STAGE_A in caller_of(request).scopes else [],
        script_words={key.removeprefix(SCRIPT_WORDS): t(key) for key in catalogue() if key.startswith(SCRIPT_WORDS)},
        max_body_bytes=web_services(request).max_body_bytes,
    )
