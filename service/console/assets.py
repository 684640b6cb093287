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


@cache
def _files() -> dict[str, Path]:
    """The files that browsers may have, by their names below the folder."""
    files = (path for path in FOLDER.rglob("*") if path.suffix in _TYPES and path.is_file())
    return {path.relative_to(FOLDER).as_posix(): path for path in files}


def static(name: str) -> str:
    """The URL of a file of ``static/``. Raises ``FileNotFoundError``."""
    (FOLDER / name).resolve(strict=True)
    return f"{PREFIX}/{version()}/{name}"


@router.get("/{digest}/{name:path}")
async def asset(digest: str, name: str) -> Response:
    """A file. Only the URL of its current content may be cached."""
    # A name is looked up among those that exist; a file system would first have to make sense of it.
    path = _files().get(name)
    if path is None:
        raise HTTPException(404)
    cache_control = "public, max-age=31536000, immutable" if digest == version() else "no-cache"
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": cache_control})
