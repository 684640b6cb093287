"""Where a registry is: a directory, or the address of a repository. What is neither is refused, never created."""

from __future__ import annotations

import re
from pathlib import Path

from vqc.errors import InvalidValue

_REMOTE = "oci://"
# ``Path`` collapses the two slashes of an address, so one slash after the scheme is enough.
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>/.*)?", re.DOTALL)
_SCHEMES = {"http", "https", "oci", "docker", "oras", "file", "s3", "gs", "az", "hf", "ftp", "ssh", "git", "hdfs"}
_ELSEWHERE = re.compile(r"~|\$|%|[A-Za-z]:\\|\\\\|[^/@\s]+@[^/@:\s]+:|(?:https?|oci|s3|file)//")
"""What a shell would have expanded, another system's path, ``git@host:path``, a scheme without its colon."""
_USER = re.compile(r"(?<=/)[^/@]*@|^[^/@]*@")
_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*):\d+")
_NAME = re.compile(
    r"localhost|(?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-fA-F:.]+\]|(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,}\.?"
)


def parse_location(where: str | Path) -> Path | str:
    """The directory as a ``Path``, or the address ``oci://…`` as text.

    Raises:
        InvalidValue: an address of another kind, or something that is written like a host.
    """
    text = str(where)
    if text.startswith(_REMOTE):
        return text
    if not text.strip() or text != text.strip() or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        valid = "name a directory, or oci://host[:port]/repository, without spaces around it or control characters"
        raise InvalidValue("registry", _without_password(text), valid)
    path = Path(where)
    try:
        path.is_dir()
    except OSError as error:
        raise InvalidValue("registry", text, f"must be a path that can exist: {error.strerror}") from error
    if _ELSEWHERE.match(text) and not path.exists():
        raise InvalidValue("registry", _without_password(text), "write the whole path of a directory on this machine")
    bare = _USER.sub("", text)
    scheme = _SCHEME.match(text)
    if scheme and (scheme["rest"] or scheme["scheme"].lower() in _SCHEMES):
        kind = scheme["scheme"].lower()
        if kind == "file":
            valid = "write a directory without 'file:', or oci://host[:port]/repository"
        elif kind in ("http", "https", "oci", "docker", "oras"):
            valid = f"write {_address((scheme['rest'] or '').lstrip('/'))}, or the path of a directory"
        else:
            valid = "a registry is a directory on a local disk, or oci://host[:port]/repository"
        raise InvalidValue("registry", _without_password(text), valid)
    bare = bare.lstrip("/") if text.startswith("//") else bare  # an address without its scheme
    first = bare.split("/", 1)[0]
    named = _PORT.fullmatch(first) is not None or _NAME.fullmatch(first) is not None
    if named and not path.is_dir() and not Path(first).is_dir():
        valid = f"it looks like a host: write {_address(bare)}, or ./{bare} if a directory is meant"
        raise InvalidValue("registry", _without_password(text), valid)
    return path


def _address(rest: str) -> str:
    """The ``oci://`` address that was probably meant."""
    host, _, name = _USER.sub("", rest).partition("/")
    name = name.partition("?")[0].strip("/")
    return f"oci://{host or 'host[:port]'}/{name.removeprefix('v2/') or 'repository'}"


def _without_password(text: str) -> str:
    return _USER.sub("…@", text)
