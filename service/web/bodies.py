"""Reads request bodies: JSON documents, multipart files and base64."""

from __future__ import annotations

import asyncio
import binascii
import codecs
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from service.web.problems import invalid_value
from service.web.schemas import Wire
from vqc.errors import InvalidValue

_DATA_URL = re.compile(r"data:image/[a-z+.-]+;base64,")
_CHARSETS = frozenset({"utf-8", "ascii", "iso8859-1", "gbk", "gb18030", "gb2312", "big5"})
"""The charsets of forms that are read, by Python's names. Others, like ``punycode``, are slow or no charsets at all."""
_BASE64_PART = 2**20
"""Characters decoded at once, a multiple of 4; a whole body would hold up every other request for half a second."""
_BodyT = TypeVar("_BodyT", bound=Wire)


def content_type(request: Request) -> str:
    """The body's media type, lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def json_body(request: Request, kind: type[_BodyT]) -> _BodyT:
    """The JSON body. Raises ``InvalidValue``."""
    body = bytearray()  # request.body() would keep its parts beside the whole, for the whole request
    async for chunk in request.stream():
        body += chunk
    return parsed_json(body, kind)


def parsed_json(text: bytes | bytearray, kind: type[_BodyT]) -> _BodyT:
    """A JSON document. Raises ``InvalidValue``."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise invalid_value(error.errors(include_url=False, include_context=False)[0]) from error


@asynccontextmanager
async def form_of(request: Request, *, max_files: int) -> AsyncGenerator[FormData, None]:
    """The form of a multipart body; its files are closed after the block.

    Raises:
        InvalidValue: its charset is not one of those that are read.
        HTTPException: 400, the body is no valid multipart.
    """
    _, options = parse_options_header(request.headers.get("content-type"))
    charset = options.get(b"charset", b"utf-8").decode("latin-1")
    if not _is_read(charset):
        raise InvalidValue("Content-Type", f"charset={charset[:64]}", "must be utf-8 or leave out the charset")
    async with request.form(max_files=max_files, max_fields=8) as form:
        yield form


def _is_read(charset: str) -> bool:
    try:
        return codecs.lookup(charset).name in _CHARSETS
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        return False


def uploads_of(form: FormData, field: str, known: set[str]) -> Sequence[UploadFile]:
    """The files of one form field. Raises ``InvalidValue`` for a field that is not known."""
    if unknown := set(form) - known:
        raise InvalidValue(sorted(unknown)[0], "a form field", f"valid fields: {', '.join(sorted(known))}")
    uploads = form.getlist(field)
    if not uploads or not all(isinstance(upload, UploadFile) for upload in uploads):
        raise InvalidValue(field, uploads[:1], "must be a file")
    return [upload for upload in uploads if isinstance(upload, UploadFile)]


async def decode_base64(text: str, field: str) -> bytes:
    """The bytes of strict base64; the prefix of a data URL is allowed. Other requests are served between its parts.

    >>> asyncio.run(decode_base64("data:image/png;base64,aGk=", "photo"))
    b'hi'

    Raises:
        InvalidValue: characters outside the alphabet or wrong padding.
    """
    start = match.end() if (match := _DATA_URL.match(text)) else 0
    decoded = bytearray()
    try:
        for place in range(start, len(text), _BASE64_PART):
            part = binascii.a2b_base64(text[place : place + _BASE64_PART], strict_mode=True)
            if place + _BASE64_PART < len(text):
                if len(part) != _BASE64_PART // 4 * 3:
                    raise ValueError("Excess data after padding")
                await asyncio.sleep(0)
            decoded += part
    except (binascii.Error, ValueError) as error:
        found = f"{len(text) - start:,} characters"
        raise InvalidValue(field, found, f"must be standard base64 with padding: {error}") from error
    return bytes(decoded)
