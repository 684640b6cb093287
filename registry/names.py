"""The syntax of aliases and digests."""

from __future__ import annotations

import re

from registry.oci import GUIDANCE_TYPE, INSPECTION_TYPE, MODEL_TYPE
from vqc.errors import InvalidValue

GUIDANCE_ALIAS = "guidance-"
"""The prefix of guidance aliases."""

INSPECTION_ALIAS = "inspection-"
"""The prefix of aliases of inspections."""

_PREFIXES = {GUIDANCE_TYPE: GUIDANCE_ALIAS, INSPECTION_TYPE: INSPECTION_ALIAS}

_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_RESERVED = ("sha256-", "version.")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHORT_DIGEST = re.compile(r"sha256:[0-9a-f]{7,63}")


_MAX_PATH, _MAX_NAME = 1000, 255


def kind_of_alias(alias: str) -> str:
    """The artifact type of what an alias may point to.

    >>> kind_of_alias("champion") == MODEL_TYPE
    True
    """
    return next((kind for kind, prefix in _PREFIXES.items() if alias.startswith(prefix)), MODEL_TYPE)


def check_alias(alias: str, kind: str) -> None:
    """Raises InvalidValue unless ``alias`` is a valid OCI tag for artifacts of type ``kind``, and not the registry's own."""
    if not _ALIAS.fullmatch(alias) or alias.startswith(_RESERVED):
        raise InvalidValue(
            "alias",
            alias,
            "use up to 100 letters, digits, '.', '_' and '-'; the prefixes sha256- and version. are reserved",
        )
    if kind_of_alias(alias) != kind:
        raise InvalidValue(
            "alias",
            alias,
            f"the prefix {GUIDANCE_ALIAS!r} is for guidance, {INSPECTION_ALIAS!r} for inspections, and neither for models",
        )


def is_tag(name: str) -> bool:
    """Whether a name is a tag of the OCI distribution specification."""
    return _TAG.fullmatch(name) is not None


def is_digest(ref: str) -> bool:
    """Whether a reference is a complete digest.

    >>> is_digest("sha256:" + "0" * 64), is_digest("champion")
    (True, False)
    """
    return _DIGEST.fullmatch(ref) is not None


def is_short_digest(ref: str) -> bool:
    """Whether a reference is a digest prefix that is long enough to be looked up.

    >>> is_short_digest("sha256:1f2e3d4"), is_short_digest("sha256:1f")
    (True, False)
    """
    return _SHORT_DIGEST.fullmatch(ref) is not None


def is_inside(name: str) -> bool:
    """Whether a relative path stays inside its directory, and a file system can hold it.

    >>> is_inside("a/b.json"), is_inside("../b.json"), is_inside("/etc/passwd")
    (True, False, False)
    """
    if not name.isprintable() or "\\" in name or len(name) > _MAX_PATH:
        return False
    return all(part not in ("", ".", "..") and len(part.encode()) <= _MAX_NAME for part in name.split("/"))


def folders_of(name: str) -> list[str]:
    """The folders that a relative path needs.

    >>> folders_of("a/b/c.json")
    ['a', 'a/b']
    """
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
