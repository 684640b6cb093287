"""Where a registry is: a directory, or the address of a repository. What is neither is refused, never created."""

from __future__ import annotations

import re
from pathlib import Path

from vqc.errors import InvalidValue

_REMOTE = "oci://"
# ``Path`` collapses the two slashes of an address, so one slash after the scheme is enough.
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>/.*)?", re.DOTALL)
_SCHEMES = {"http", "https", "oci", "docker", "oras", "file", "s3", "gs", "az", "hf", "ftp", "ssh", "git", "hdfs"}
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
    if not text.strip() or "\0" in text:
        raise InvalidValue("registry", text, "name a directory, or oci://host[:port]/repository")
    path = Path(where)
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
