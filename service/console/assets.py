"""The console's scripts and styles, under URLs that contain the digest of their content and never expire."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

FOLDER = Path(__file__).parent / "static"
PREFIX = "/console/static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}

router = APIRouter(prefix=PREFIX)


@cache
def version() -> str:
    """The digest of the whole folder."""
    # One for all files: scripts import each other by relative URLs, so a changed file must change the URL of its importers.
    digest = sha256()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(FOLDER)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def static(name: str) -> str:
    """The URL of a file of ``static/``. Raises ``FileNotFoundError``."""
    (FOLDER / name).resolve(strict=True)
    return f"{PREFIX}/{version()}/{name}"


@router.get("/{digest}/{name:path}")
async def asset(digest: str, name: str) -> Response:
    """A file. Only the URL of its current content may be cached."""
    path = (FOLDER / name).resolve()
    if not path.is_relative_to(FOLDER) or path.suffix not in _TYPES or not path.is_file():
        raise HTTPException(404)
    cache_control = "public, max-age=31536000, immutable" if digest == version() else "no-cache"
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": cache_control})
