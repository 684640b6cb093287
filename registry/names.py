"""What aliases and digests look like."""

from __future__ import annotations

import re

from vqc.errors import InvalidValue

GUIDANCE_ALIAS = "guidance-"
"""How the aliases of guidance begin."""

_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_RESERVED = ("sha256-", "version.")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHORT_DIGEST = re.compile(r"sha256:[0-9a-f]{7,63}")


def check_alias(alias: str, *, guidance: bool) -> None:
    """Raises InvalidValue unless ``alias`` can be one (an OCI tag that the registry itself does not use) of its kind."""
    if not _ALIAS.fullmatch(alias) or alias.startswith(_RESERVED):
        raise InvalidValue(
            "alias", alias, "use up to 100 letters, digits, '.', '_', '-', not beginning with sha256- or version."
        )
    if alias.startswith(GUIDANCE_ALIAS) is not guidance:
        raise InvalidValue("alias", alias, f"aliases of guidance, and only those, begin with {GUIDANCE_ALIAS!r}")


def is_digest(ref: str) -> bool:
    """Whether a reference is a whole digest.

    >>> is_digest("sha256:" + "0" * 64), is_digest("champion")
    (True, False)
    """
    return _DIGEST.fullmatch(ref) is not None


def is_short_digest(ref: str) -> bool:
    """Whether a reference is the beginning of a digest, long enough to mean one.

    >>> is_short_digest("sha256:1f2e3d4"), is_short_digest("sha256:1f")
    (True, False)
    """
    return _SHORT_DIGEST.fullmatch(ref) is not None
